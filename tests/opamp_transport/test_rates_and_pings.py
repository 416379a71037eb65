"""How often one address may ask, who is pinged, and how little of both is logged, at a live server behind a proxy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest

from opamp_transport.proto import opamp_pb2
from tests.live_server import LiveServer
from tests.opamp_transport.raw_messages import post_head, status_of
from tests.raw_socket import BINARY, CLOSE, PING, PONG, RawSocket, frame


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server behind one proxy that lets an address in once a second, ten times at once, and pings every second."""
    limits = {"OPAMP_HANDSHAKES_PER_SECOND": "1", "OPAMP_REQUESTS_PER_SECOND": "1", "OPAMP_TRUSTED_PROXIES": "1"}
    limits |= {"OPAMP_PING_SECONDS": "1", "OPAMP_PONG_TIMEOUT_SECONDS": "1"}
    with LiveServer(tmp_path_factory.mktemp("limited"), **limits) as server:
        yield server


class TestRates:
    """One address may ask so often; the address is the one that the trusted proxy names."""

    HANDSHAKE = (
        "GET /v1/opamp HTTP/1.1\r\nHost: portal\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\nX-Forwarded-For: {}\r\n\r\n"
    )

    def heads(self, server: LiveServer, request: bytes, times: int) -> list[bytes]:
        """The heads of the answers to as many requests, each on a connection of its own."""
        heads = []
        for _ in range(times):
            with RawSocket(server.port) as peer:
                peer.send(request)
                heads.append(peer.read_head())
        return heads

    @pytest.mark.rule("S-103", "S-105", transport="websocket")
    def test_handshakes(self, limited: LiveServer) -> None:
        heads = self.heads(limited, self.HANDSHAKE.format("203.0.113.7").encode(), 40)
        statuses = [status_of(head) for head in heads]
        assert statuses[:10] == [101] * 10
        assert set(statuses) == {101, 429}
        assert all(b"retry-after: " in head.lower() for head in heads if status_of(head) == 429)
        # What the peer itself wrote into the header counts nothing, the proxy's last entry does.
        spoofed = self.heads(limited, self.HANDSHAKE.format("198.51.100.99, 203.0.113.7").encode(), 1)
        assert status_of(spoofed[0]) in {101, 429}
        assert {status_of(head) for head in self.heads(limited, self.HANDSHAKE.format("203.0.113.8").encode(), 5)} == {
            101
        }

    @pytest.mark.rule("S-103", "S-104", transport="http")
    def test_requests(self, limited: LiveServer) -> None:
        body = opamp_pb2.AgentToServer(instance_uid=uuid4().bytes, capabilities=1).SerializeToString()
        request = post_head(f"Content-Length: {len(body)}", "X-Forwarded-For: 203.0.113.9") + body
        statuses = [status_of(head) for head in self.heads(limited, request, 40)]
        assert statuses[:10] == [200] * 10
        assert set(statuses) == {200, 429}

    def test_the_portal_shows_the_address_behind_the_proxy(self, limited: LiveServer) -> None:
        uid = uuid4()
        body = opamp_pb2.AgentToServer(instance_uid=uid.bytes, capabilities=1).SerializeToString()
        request = post_head(f"Content-Length: {len(body)}", "X-Forwarded-For: 6.6.6.6, 203.0.113.10") + body
        self.heads(limited, request, 1)
        assert limited.get(f"agents/{uid}")["remote_address"] == "203.0.113.10"

    def test_refusals_do_not_fill_the_log(self, limited: LiveServer) -> None:
        self.heads(limited, self.HANDSHAKE.format("203.0.113.77").encode(), 150)
        lines = [line for line in limited.log_path.read_text(encoding="utf-8").splitlines() if "203.0.113.77" in line]
        assert 1 <= len(lines) <= 2
        assert json.loads(lines[0])["reason"] == "too many handshakes"


class TestPings:
    @pytest.mark.rule("S-14", transport="websocket")
    def test_idle_sockets_are_pinged_and_those_that_do_not_answer_are_dropped(self, limited: LiveServer) -> None:
        message = opamp_pb2.AgentToServer(instance_uid=uuid4().bytes, capabilities=1)
        where = "X-Forwarded-For: 203.0.113.201"
        with RawSocket(limited.port).upgrade(where) as answering, RawSocket(limited.port).upgrade(where) as deaf:
            for _ in range(4):
                ping = answering.read_frame()
                assert ping is not None
                assert ping.opcode == PING
                answering.send(frame(PONG, ping.payload))
            frames = deaf.frames()
            assert [one.opcode for one in frames] == [PING, CLOSE]
            assert frames[-1].code == 1011
            answering.send(frame(BINARY, b"\x00" + message.SerializeToString()))
            kinds = {one.opcode for one in answering.read_frames(2)}
            assert BINARY in kinds


def test_connections_do_not_fill_the_log(limited: LiveServer) -> None:
    before = len(limited.log_path.read_text(encoding="utf-8").splitlines())
    for number in range(200):
        with RawSocket(limited.port) as peer:
            peer.send(
                (b"no HTTP\r\n\r\n", b"GET /v1/opamp HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")[number % 2]
            )
            peer.read_head()
    for _ in range(5):
        with RawSocket(limited.port) as peer:
            peer.send(TestRates.HANDSHAKE.format("203.0.113.200").encode())
            peer.read_head()
    lines = limited.log_path.read_text(encoding="utf-8").splitlines()[before:]
    assert len(lines) <= 10, lines
