"""Bad networks between agents and server: slow, torn, silent, a byte at a time."""

from __future__ import annotations

import pytest

from tests.faults.configs import Editor, create_all
from tests.faults.fleet import FaultFleet, assert_all_right
from tests.faults.proxy import Proxy
from tests.live_server import LiveServer

AGENTS = 50
_LONG = pytest.mark.faults(long=True)


def both(portal: LiveServer, proxy: Proxy, transport: str) -> FaultFleet:
    """A fleet that reaches the portal through the proxy."""
    return FaultFleet(proxy.endpoint(transport), count=AGENTS)


@pytest.mark.parametrize("transport", ["ws", pytest.param("http", marks=_LONG)])
def test_connections_cut_in_the_middle_of_frames(transport: str, portal: LiveServer, rounds: int) -> None:
    create_all(portal)
    with Proxy(portal.port) as proxy, both(portal, proxy, transport) as fleet:
        assert_all_right(portal, fleet)
        for _ in range(rounds):
            with Editor([portal]) as editor:
                for share in (0.3, 0.6, 1.0):
                    seen = len(editor.acknowledged)
                    portal.eventually(lambda: len(editor.acknowledged) >= seen + 3, 60, "edits")  # noqa: B023
                    proxy.cut(share)
            editor.assert_kept(portal)
            assert_all_right(portal, fleet)
        assert proxy.connections > AGENTS


@_LONG
@pytest.mark.parametrize("transport", ["ws", "http"])
def test_a_byte_at_a_time_and_late(transport: str, portal: LiveServer) -> None:
    create_all(portal)
    with Proxy(portal.port) as proxy:
        proxy.dribble, proxy.delay_seconds = True, 0.1
        with both(portal, proxy, transport) as fleet:
            assert_all_right(portal, fleet)
            with Editor([portal]) as editor:
                portal.eventually(lambda: len(editor.acknowledged) >= 4, 60, "edits")
            assert_all_right(portal, fleet)


@_LONG
@pytest.mark.rule("S-14", transport="websocket")
def test_a_silent_network_is_noticed_and_the_agents_come_back(portal: LiveServer) -> None:
    create_all(portal)
    portal.restart(OPAMP_PING_SECONDS="2", OPAMP_PONG_TIMEOUT_SECONDS="2")
    with Proxy(portal.port) as proxy, both(portal, proxy, "ws") as fleet:
        assert_all_right(portal, fleet)
        proxy.silent = True
        portal.eventually(
            lambda: portal.get("agents/summary")["status"]["disconnected"] == AGENTS, 30, "the silence is noticed"
        )
        # The agents notice nothing: their connections are open, and only the server has given them up.
        proxy.silent = False
        assert_all_right(portal, fleet)
