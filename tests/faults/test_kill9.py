"""The server process killed without a word while agents answer and people edit: once, or again and again.

SQLite, or PostgreSQL where DATABASE_URL is set.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.configs import REGIONS, Editor, create_all, text
from tests.faults.fleet import FaultFleet, assert_all_right
from tests.interop.full_state import none_outstanding
from tests.live_server import LiveServer

AGENTS = 200
EDITS_BEFORE_THE_KILL = 12
PATIENCE = 60.0
# No edit of an editor has this number.
_AFTERWARDS = -1


@pytest.mark.rule("S-42", "S-43", "S-48", "S-50", "S-60")
@pytest.mark.parametrize("transport", ["ws", "http"])
def test_nothing_acknowledged_is_lost_and_everybody_is_right_again(
    transport: str, portal: LiveServer, rounds: int
) -> None:
    create_all(portal)
    endpoint = portal.websocket_endpoint if transport == "ws" else portal.http_endpoint
    with FaultFleet(endpoint, count=AGENTS) as fleet:
        assert_all_right(portal, fleet)
        for number in range(rounds):
            reconnects = fleet.tally.reconnects
            with Editor([portal]) as editor:
                portal.eventually(lambda: len(editor.acknowledged) >= EDITS_BEFORE_THE_KILL, PATIENCE, "edits")
                portal.kill9()
                portal.start()
            editor.assert_kept(portal)
            assert_all_right(portal, fleet)
            # Over HTTP those alone notice whose poll comes while nobody listens: the start may be quicker than a poll.
            assert fleet.tally.reconnects - reconnects >= (AGENTS if transport == "ws" else 1)
            for name in REGIONS:
                edit = portal.api("PATCH", f"configurations/{name}", {"raw_config": text(_AFTERWARDS - number)})
                assert edit.status == 200, edit
            assert_all_right(portal, fleet)
            assert_nothing_is_offered_again(portal, fleet)
            none_outstanding(portal)
    portal.eventually(
        lambda: portal.get("agents/summary")["status"]["disconnected"] == AGENTS, 30, "all have taken their leave"
    )


def assert_nothing_is_offered_again(server: LiveServer, fleet: FaultFleet) -> None:
    """Every agent has answered its newest offer: two more messages of each bring no further one."""
    offers = offer_counts(server)
    assert len(offers) == AGENTS
    messages = {uid: agent.sequence_num for uid, agent in fleet.agents.items()}
    server.eventually(
        lambda: all(agent.sequence_num >= messages[uid] + 2 for uid, agent in fleet.agents.items()),
        PATIENCE,
        "two more messages of each",
    )
    assert_all_right(server, fleet)
    assert offer_counts(server) == offers


def offer_counts(server: LiveServer) -> list[tuple[Any, ...]]:
    """How often each agent was offered its present configuration."""
    return server.rows("SELECT agent_id, offer_count FROM configurations_assignment ORDER BY agent_id")
