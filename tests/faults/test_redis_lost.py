"""Redis is killed while a change is on its way to agents of two processes: nobody goes, nothing is missed."""

from __future__ import annotations

import json
from pathlib import Path

from tests.faults.configs import create_all, text
from tests.faults.conftest import Node
from tests.faults.fleet import FaultFleet, assert_all_right
from tests.faults.redis_server import RedisServer
from tests.faults.test_postgres_lost import fetch
from tests.live_server import LiveServer

AGENTS = 100
# What a process finds by itself: its look for missed changes every three seconds, and the agents' own time.
MISSED_SECONDS = 20.0
# A silence of five seconds, and then a send that fails or an echo that does not come for as long.
NOTICED_SECONDS = 20.0
# The longest pause between attempts is five seconds.
LISTENING_SECONDS = 15.0
WAKEUPS = "asgi__group__opamp.wakeups"
OUT_OF_REACH = "wakeups: the broker is out of reach"
BACK = "wakeups: the broker is back"
WHOLE_LOG = 1 << 30


def edit(server: LiveServer, number: int) -> None:
    """Change every configuration; the change must be acknowledged."""
    for name in ("config-0", "config-1", "config-2", "config-3"):
        answer = server.api("PATCH", f"configurations/{name}", {"raw_config": text(number)})
        assert answer.status == 200, answer


def test_a_change_reaches_all_agents_and_none_goes(node: Node, broker: RedisServer, rounds: int) -> None:
    first, second = node("a"), node("b")
    create_all(first)
    with (
        FaultFleet(first.websocket_endpoint, count=AGENTS) as here,
        FaultFleet(second.websocket_endpoint, count=AGENTS, seed=8) as there,
    ):
        assert_all_right(first, here, there)
        for number in range(1, rounds + 1):
            before = {server.log_path: len(server.log_tail(WHOLE_LOG)) for server in (first, second)}

            def since(server: LiveServer, before: dict[Path, int] = before) -> str:
                """What it has logged in this round."""
                return server.log_tail(WHOLE_LOG)[before[server.log_path] :]

            edit(first, 10 * number)
            broker.kill9()
            assert_all_right(second, here, there)

            edit(first, 10 * number + 1)
            assert_all_right(second, here, there, seconds=MISSED_SECONDS)
            status, _headers, body = fetch(second, "/health/ready")
            assert (status, json.loads(body)["status"]) == (200, "degraded")

            for server in (first, second):
                server.eventually(lambda: OUT_OF_REACH in since(server), NOTICED_SECONDS, "it knows")  # noqa: B023
            broker.start()
            first.eventually(lambda: json.loads(fetch(second, "/health/ready")[2])["status"] == "ok", 20, "all is well")
            for server in (first, second):
                server.eventually(lambda: BACK in since(server), LISTENING_SECONDS, "it listens again")  # noqa: B023
            assert broker.subscribers(WAKEUPS) == 2

            # Too short to be noticed in the silence, and yet both listen again.
            broker.kill9()
            broker.start()
            first.eventually(lambda: broker.subscribers(WAKEUPS) == 2, LISTENING_SECONDS, "both listen")
            edit(first, 10 * number + 2)
            assert_all_right(second, here, there, seconds=MISSED_SECONDS)
        assert (here.tally.reconnects, there.tally.reconnects) == (0, 0)
        for server in (first, second):
            assert server.get("agents/summary")["status"]["disconnected"] == 0
