"""What must be true after any run with agents: nobody still owes the server its full state (S-44)."""

from __future__ import annotations

from typing import Any

from tests.live_server import LiveServer

PATIENCE = 20.0


def outstanding(server: LiveServer) -> list[tuple[Any, ...]]:
    """Connected agents that were asked for their full state and have not sent it."""
    return server.rows(
        "SELECT agents_agent.instance_uid, service_name, full_state_requested_at FROM agents_reportedstate"
        " JOIN agents_agent ON agents_agent.id = agents_reportedstate.agent_id"
        " WHERE connected AND full_state_requested_at IS NOT NULL"
    )


def none_outstanding(server: LiveServer) -> None:
    """Wait for answers under way; fails when one does not come."""
    server.eventually(lambda: not outstanding(server), PATIENCE, "no full state is outstanding")
