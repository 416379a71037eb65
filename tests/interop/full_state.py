"""What must be true after any run with agents: nobody still owes the server its full state (S-44)."""

from __future__ import annotations

from typing import Any

from tests.live_server import LiveServer

PATIENCE = 20.0


def outstanding(server: LiveServer, service_name: str = "") -> list[tuple[Any, ...]]:
    """Connected agents (of this service alone, when given) that were asked for their full state and have not sent it."""
    rows = server.rows(
        "SELECT service_name, agents_agent.instance_uid, full_state_requested_at FROM agents_reportedstate"
        " JOIN agents_agent ON agents_agent.id = agents_reportedstate.agent_id"
        " WHERE connected AND full_state_requested_at IS NOT NULL"
    )
    return [row for row in rows if service_name in {"", row[0]}]


def none_outstanding(server: LiveServer, service_name: str = "") -> None:
    """Wait for answers under way; fails when one does not come."""
    server.eventually(lambda: not outstanding(server, service_name), PATIENCE, "no full state is outstanding")
