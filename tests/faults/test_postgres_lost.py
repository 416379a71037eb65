"""PostgreSQL stops immediately while agents answer and people edit; it comes back, and nobody restarts the portal."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from websockets.sync.client import ClientConnection, connect

from opamp_transport.proto import opamp_pb2
from tests.faults.configs import Editor, create_all
from tests.faults.conftest import Node
from tests.faults.fleet import FaultFleet, assert_all_right
from tests.faults.postgres import PostgresCluster
from tests.live_server import LiveServer

AGENTS = 100


def fetch(
    server: LiveServer, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers by lower-case name and body of one request."""
    request = urllib.request.Request(server.url + path, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, {key.lower(): value for key, value in response.headers.items()}, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {key.lower(): value for key, value in error.headers.items()}, error.read()


class Talker:
    """One agent on a socket, spoken by hand."""

    def __init__(self, socket: ClientConnection) -> None:
        self.uid = uuid4()
        self.number = -1
        self.socket = socket

    def say(self, **parts: Any) -> opamp_pb2.ServerToAgent:
        """Send a message, and return its answer."""
        self.number += 1
        message = opamp_pb2.AgentToServer(
            instance_uid=self.uid.bytes, sequence_num=self.number, capabilities=0x2001, **parts
        )
        self.socket.send(b"\x00" + message.SerializeToString())
        frame = self.socket.recv(timeout=20)
        assert isinstance(frame, bytes)
        return opamp_pb2.ServerToAgent.FromString(frame[1:])


def test_agents_stay_and_everything_comes_back_by_itself(cluster: PostgresCluster, node: Node, rounds: int) -> None:
    server = node("a")
    create_all(server)
    with (
        FaultFleet(server.websocket_endpoint, count=AGENTS) as sockets,
        FaultFleet(server.http_endpoint, count=AGENTS // 4, seed=8) as polling,
    ):
        assert_all_right(server, sockets, polling)
        for _ in range(rounds):
            reconnects = sockets.tally.reconnects
            with Editor([server]) as editor:
                server.eventually(lambda: len(editor.acknowledged) >= 3, 60, "edits")
                cluster.stop_immediately()
                server.eventually(lambda: 503 in editor.refused, 30, "an edit is refused with 503")
                assert sockets.tally.connected > 0
                cluster.start()
            server.eventually(lambda: fetch(server, "/health/ready")[0] == 200, 60, "ready again")
            editor.assert_kept(server)
            assert_all_right(server, sockets, polling)
            # Those alone that had news meanwhile were told to come back later.
            assert sockets.tally.reconnects - reconnects <= AGENTS


@pytest.mark.rule("S-102", "S-103", transport="websocket")
def test_without_a_database_heartbeats_are_answered_and_news_is_put_off(cluster: PostgresCluster, node: Node) -> None:
    server = node("a")
    assert server.token
    with connect(server.websocket_endpoint, proxy=None) as socket:
        agent = Talker(socket)
        assert not agent.say(health=opamp_pb2.ComponentHealth(healthy=True)).HasField("error_response")
        cluster.stop_immediately()
        try:
            beat = agent.say()
            assert beat.instance_uid == agent.uid.bytes
            assert not beat.HasField("error_response")

            report = opamp_pb2.AgentToServer(instance_uid=uuid4().bytes, capabilities=1).SerializeToString()
            with ThreadPoolExecutor() as threads:
                news = threads.submit(agent.say, health=opamp_pb2.ComponentHealth(healthy=False))
                ready = threads.submit(fetch, server, "/health/ready")
                api = threads.submit(fetch, server, "/api/v1/agents", Authorization=f"Bearer {server.token}")
                page = threads.submit(fetch, server, "/admin/", Cookie=f"sessionid={'x' * 32}")
                post = threads.submit(fetch, server, "/v1/opamp", report, **{"Content-Type": "application/x-protobuf"})
                metrics = threads.submit(fetch, server, "/metrics")
                assert fetch(server, "/health/live")[0] == 200

            refused = news.result().error_response
            assert refused.type == opamp_pb2.ServerErrorResponseType_Unavailable
            assert refused.retry_info.retry_after_nanoseconds >= 30 * 10**9
            agent.number -= 1
            assert not agent.say().HasField("error_response")
            assert metrics.result()[0] == 200
            assert json.loads(ready.result()[2])["checks"]["database"]["status"] == "failed"
            assert api.result()[1]["content-type"] == "application/problem+json"
            for answer, least_seconds in ((api, 1), (page, 1), (post, 30)):
                status, headers, _body = answer.result()
                assert status == 503
                assert int(headers["retry-after"]) >= least_seconds
            assert ready.result()[0] == 503
        finally:
            cluster.start()
        server.eventually(lambda: fetch(server, "/health/ready")[0] == 200, 30, "ready again, without a restart")
        # The number of what was refused was not used up, so this one continues the sequence.
        assert not agent.say(health=opamp_pb2.ComponentHealth(healthy=False)).flags
        shown = server.get(f"agents/{agent.uid}")
        assert (shown["connected"], shown["healthy"]) == (True, False)
