"""The server process killed without a word, again and again, while agents answer and people edit."""

from __future__ import annotations

import pytest

from tests.faults.configs import Editor, create_all
from tests.faults.fleet import FaultFleet, assert_all_right
from tests.live_server import LiveServer

AGENTS = 200


@pytest.mark.rule("S-42", "S-43", "S-48")
@pytest.mark.faults(long=True)  # once is shown in tests/interop
@pytest.mark.parametrize("transport", ["ws", "http"])
def test_nothing_acknowledged_is_lost_and_everybody_is_right_again(
    transport: str, portal: LiveServer, rounds: int
) -> None:
    create_all(portal)
    endpoint = portal.websocket_endpoint if transport == "ws" else portal.http_endpoint
    with FaultFleet(endpoint, count=AGENTS) as fleet:
        assert_all_right(portal, fleet)
        for _ in range(rounds):
            with Editor([portal]) as editor:
                portal.eventually(lambda: len(editor.acknowledged) >= 5, 60, "edits")
                portal.kill9()
                portal.start()
            editor.assert_kept(portal)
            assert_all_right(portal, fleet)
    portal.eventually(
        lambda: portal.get("agents/summary")["status"]["disconnected"] == AGENTS, 30, "all have taken their leave"
    )
