"""SIGHUP replaces all workers of a server: no agent is refused, sent away twice, or shown disconnected meanwhile."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import connect

from opamp_transport.proto import opamp_pb2
from tests import not_run
from tests.fake_agent import FakeAgent
from tests.live_server import LiveServer
from tests.plain_http import post

AGENTS = 60
TIMEOUT = 30.0


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LiveServer]:
    """Two workers, both serving."""
    if not (os.environ.get("DATABASE_URL", "").startswith("postgres") and os.environ.get("REDIS_URL")):
        not_run.note(request.node, "workers", "no PostgreSQL and Redis", request.node.originalname)
        pytest.skip("needs DATABASE_URL and REDIS_URL: only there several workers can share a fleet")
    with LiveServer(tmp_path, workers=2) as running:
        running.eventually(lambda: len(processes(running)) == 2, what="both workers serve")
        yield running


def processes(server: LiveServer) -> set[int]:
    """The process ids of the workers that serve agents."""
    return {pid for (pid,) in server.rows("SELECT pid FROM agents_serverprocess")}


class Faithful:
    """An agent over WebSocket that comes back at once when its connection ends, as the reference client does."""

    def __init__(self, server: LiveServer) -> None:
        self.agent = FakeAgent(test="replaced")
        self.connections = 0
        self.refusals: list[Exception] = []
        self._server = server
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                with connect(self._server.websocket_endpoint, proxy=None, open_timeout=TIMEOUT) as socket:
                    first = self.agent.message() if self.connections else self.agent.message(**self.agent.full_parts())
                    socket.send(b"\x00" + first.SerializeToString())
                    frame = socket.recv(timeout=TIMEOUT)
                    assert not opamp_pb2.ServerToAgent.FromString(bytes(frame[1:])).HasField("error_response")
                    self.connections += 1
                    while not self._stopped.is_set():
                        try:
                            socket.recv(timeout=0.1)
                        except TimeoutError:
                            continue
            except ConnectionClosed:
                continue
            except (OSError, WebSocketException, AssertionError) as error:
                self.refusals.append(error)
                return

    def stop(self) -> None:
        """End it without a word."""
        self._stopped.set()
        self._thread.join(TIMEOUT)


def test_a_planned_replacement_is_noticed_by_nobody(server: LiveServer) -> None:
    poller = FakeAgent(test="replaced")
    assert post(server.http_endpoint, poller.message(**poller.full_parts()).SerializeToString()).status == 200
    with ExitStack() as stack:
        fleet = [Faithful(server) for _ in range(AGENTS)]
        for each in fleet:
            stack.callback(each.stop)
        server.eventually(lambda: all(each.connections == 1 for each in fleet), TIMEOUT, "all are connected")
        former = processes(server)
        assert server.process is not None
        server.process.send_signal(signal.SIGHUP)
        seen_away = []

        def replaced() -> bool:
            away = server.get("agents/summary")["status"]["disconnected"]
            if away:
                seen_away.append(away)
            return all(each.connections == 2 or each.refusals for each in fleet)

        server.eventually(replaced, TIMEOUT, "all have come back")
        assert [each.refusals for each in fleet if each.refusals] == []
        assert post(server.http_endpoint, poller.message().SerializeToString()).status == 200
        server.eventually(lambda: not processes(server) & former, TIMEOUT, "the former workers have ended")
        assert len(processes(server)) == 2
        assert Counter(each.connections for each in fleet) == {2: AGENTS}, "sent away once each"
        assert seen_away == []
        assert server.rows("SELECT count(*) FROM agents_agentevent WHERE kind = 'disconnected'") == [(0,)]
        open_ends = server.rows(
            "SELECT count(*) FROM agents_connectionrecord WHERE disconnected_at IS NULL GROUP BY agent_id"
        )
        assert set(open_ends) == {(1,)}, "each agent has one open connection"


def test_an_agent_that_does_not_come_back_is_shown_disconnected(server: LiveServer) -> None:
    agent = FakeAgent(test="replaced")
    with connect(server.websocket_endpoint, proxy=None) as socket:
        socket.send(b"\x00" + agent.message(**agent.full_parts()).SerializeToString())
        socket.recv(timeout=TIMEOUT)
        assert server.get(f"agents/{agent.uid}")["connected"]
        assert server.process is not None
        server.process.send_signal(signal.SIGHUP)
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=TIMEOUT)
    server.eventually(lambda: not server.get(f"agents/{agent.uid}")["connected"], TIMEOUT, "it is gone")
