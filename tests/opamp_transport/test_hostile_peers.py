"""Peers that are slow, silent, half gone or greedy, at a live server: each is stopped, and nobody else notices."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Self
from uuid import UUID, uuid4

import pytest

from opamp_transport.proto import opamp_pb2
from tests.live_server import LiveServer
from tests.opamp_transport.raw_messages import post_head, status_of
from tests.raw_socket import BINARY, CLOSE, PING, PONG, RawSocket, close_payload, frame, resident_bytes

LIMIT = 4 * 1024 * 1024
COLLECTOR = 0x1803 | 0x2000
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server whose deadlines are short; at the end it must not have stumbled over anything."""
    limits = {
        "OPAMP_MAX_MESSAGE_SIZE": str(LIMIT),
        "OPAMP_INBOUND_MEMORY": str(4 * LIMIT),
        "OPAMP_HEADER_SECONDS": "3",
        "OPAMP_BODY_SECONDS": "3",
        "OPAMP_FIRST_MESSAGE_SECONDS": "4",
    }
    with LiveServer(tmp_path_factory.mktemp("impatient"), **limits) as server:
        yield server
        log = server.log_path.read_text(encoding="utf-8")
        assert "Traceback" not in log
        assert "Exception in" not in log


class Healthy:
    """An agent that behaves, on a WebSocket."""

    def __init__(self, server: LiveServer, *, receive_buffer: int | None = None, **labels: str) -> None:
        self.uid = uuid4()
        self.number = 0
        self.peer = RawSocket(server.port, receive_buffer=receive_buffer).upgrade()
        description = opamp_pb2.AgentDescription()
        for key, value in labels.items():
            description.non_identifying_attributes.add(key=key).value.string_value = value
        self.first = self.ask(agent_description=description, remote_config_status=opamp_pb2.RemoteConfigStatus())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.peer.socket.close()

    def message(self, **parts: object) -> bytes:
        """The next message, framed."""
        message = opamp_pb2.AgentToServer(
            instance_uid=self.uid.bytes, sequence_num=self.number, capabilities=COLLECTOR, **parts
        )
        self.number += 1
        return frame(BINARY, b"\x00" + message.SerializeToString())

    def ask(self, **parts: object) -> opamp_pb2.ServerToAgent:
        """Send and take the answer."""
        self.peer.send(self.message(**parts))
        while (answer := self.peer.read_frame()) is not None:
            if answer.opcode == PING:
                self.peer.send(frame(PONG, answer.payload))
            elif answer.opcode == BINARY:
                reply = opamp_pb2.ServerToAgent.FromString(answer.payload[1:])
                assert UUID(bytes=reply.instance_uid) == self.uid
                assert not reply.HasField("error_response")
                return reply
        raise AssertionError("the connection of a healthy agent was closed")


class Trickle(threading.Thread):
    """Sends a byte now and then until it is stopped or the server has had enough."""

    def __init__(self, peer: RawSocket, piece: bytes = b"y") -> None:
        super().__init__(daemon=True)
        self.peer, self.piece, self.over = peer, piece, threading.Event()
        self.start()

    def run(self) -> None:
        """Until the end."""
        while not self.over.wait(0.2):
            self.peer.send(self.piece)


class TestSlow:
    @pytest.mark.rule("S-111")
    def test_two_hundred_slow_heads_while_healthy_agents_talk(self, impatient: LiveServer) -> None:
        with Healthy(impatient) as agent:
            slow = [RawSocket(impatient.port) for _ in range(200)]
            for number, peer in enumerate(slow):
                peer.send(b"GET /v1/opamp HTTP/1.1\r\nX-Slow: "[: 1 + number % 30])
            begun = time.monotonic()
            for _ in range(20):
                agent.ask()
            assert time.monotonic() - begun < 10
            assert {status_of(peer.read_all()) for peer in slow} == {408}
            for peer in slow:
                peer.socket.close()
            agent.ask()

    @pytest.mark.rule("S-111", transport="http")
    @pytest.mark.parametrize(
        ("head", "piece"),
        [
            (post_head("Content-Length: 1000"), b"y"),
            (post_head("Transfer-Encoding: chunked"), b"1\r\ny\r\n"),
            (post_head("Content-Length: 1000", path="/api/v1/agents"), b"y"),
        ],
        ids=["length", "chunked", "a page"],
    )
    def test_a_body_that_trickles_is_dropped(self, impatient: LiveServer, head: bytes, piece: bytes) -> None:
        with RawSocket(impatient.port) as peer:
            peer.send(head)
            trickle = Trickle(peer, piece)
            answer = peer.read_all()
            trickle.over.set()
            trickle.join()
        # A page may refuse the request without waiting for its body.
        assert status_of(answer) in ({408} if b"/v1/opamp" in head else {401, 403, 405, 408})

    @pytest.mark.rule("S-111", transport="websocket")
    @pytest.mark.parametrize(
        "start", [frame(BINARY, b"", declared=1000), frame(BINARY, b"\x00", fin=False), b"\x82"],
        ids=["within a frame", "between fragments", "within a header"],
    )  # fmt: skip
    def test_a_message_that_trickles_is_dropped(self, impatient: LiveServer, start: bytes) -> None:
        with RawSocket(impatient.port).upgrade() as peer:
            peer.send(start)
            trickle = Trickle(
                peer, frame(0, b"y", fin=False) if start[:1] == b"\x02" else b"\xfe" if len(start) == 1 else b"y"
            )
            frames = peer.frames()
            trickle.over.set()
            trickle.join()
        assert [one.code for one in frames if one.opcode == CLOSE][-1:] in ([1008], [1002], [1009])

    def test_line_ends_keep_no_connection_alive(self, impatient: LiveServer) -> None:
        with RawSocket(impatient.port) as peer:
            peer.send(b"GET /health/live HTTP/1.1\r\nHost: portal\r\n\r\n")
            assert peer.read_head().startswith(b"HTTP/1.1 200 ")
            trickle = Trickle(peer, b"\r\n")
            assert b"408" in peer.read_all()
            trickle.over.set()
            trickle.join()

    @pytest.mark.rule("S-105", "S-111", transport="websocket")
    def test_a_socket_that_says_nothing_is_closed(self, impatient: LiveServer) -> None:
        with RawSocket(impatient.port).upgrade() as peer:
            assert [one.code for one in peer.frames() if one.opcode == CLOSE] == [1008]


class TestHalfClosed:
    @pytest.mark.parametrize("sent", [b"", frame(BINARY, b"\x00"), frame(BINARY, b"\x00abc")[:5]])
    def test_a_websocket(self, impatient: LiveServer, sent: bytes) -> None:
        with RawSocket(impatient.port).upgrade() as peer:
            peer.send(sent)
            peer.finish_writing()
            peer.frames()  # ends, whatever came

    @pytest.mark.parametrize("sent", [b"", b"GET / HT", post_head("Content-Length: 10") + b"abc"])
    def test_a_request(self, impatient: LiveServer, sent: bytes) -> None:
        with RawSocket(impatient.port) as peer:
            peer.send(sent)
            peer.finish_writing()
            peer.read_all()

    def test_agents_behind_sockets_that_are_reset_are_disconnected(self, impatient: LiveServer) -> None:
        agent = Healthy(impatient)
        agent.peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        agent.peer.socket.close()
        impatient.eventually(lambda: not impatient.get(f"agents/{agent.uid}")["connected"], what="disconnected")


class TestGreedy:
    @pytest.mark.rule("S-106", "S-111", transport="websocket")
    def test_who_asks_without_end_and_never_reads_costs_no_memory(self, impatient: LiveServer) -> None:
        assert impatient.process is not None
        with Healthy(impatient) as agent, Healthy(impatient, receive_buffer=4096) as greedy:
            before = resident_bytes(impatient.process.pid)
            greedy.peer.socket.settimeout(1.0)
            sent = 0
            for _ in range(400):
                batch = b"".join(greedy.message() + frame(PING, bytes(100)) for _ in range(500))
                try:
                    greedy.peer.socket.sendall(batch)
                except (TimeoutError, ConnectionError):
                    break
                sent += len(batch)
                agent.ask()
            assert sent < 60 * MIB
            assert resident_bytes(impatient.process.pid) - before < 20 * MIB
            agent.ask()

    @pytest.mark.rule("S-09", "S-111", transport="websocket")
    def test_many_unfinished_large_messages_are_not_all_kept(self, impatient: LiveServer) -> None:
        assert impatient.process is not None
        before = resident_bytes(impatient.process.pid)
        with Healthy(impatient) as agent:
            peers = [RawSocket(impatient.port).upgrade() for _ in range(20)]
            for peer in peers:
                peer.send(frame(BINARY, bytes(LIMIT - 1000), declared=LIMIT))
            agent.ask()
            assert resident_bytes(impatient.process.pid) - before < 10 * LIMIT
            codes = [[one.code for one in peer.frames() if one.opcode == CLOSE] for peer in peers]
            assert [1013] in codes
            assert all(code in ([1013], [1008]) for code in codes)
            for peer in peers:
                peer.socket.close()
            agent.ask()

    @pytest.mark.rule("S-111", transport="websocket")
    def test_a_flood_of_messages_starves_nobody(self, impatient: LiveServer) -> None:
        over = threading.Event()

        def flood() -> None:
            with Healthy(impatient) as greedy:
                greedy.peer.socket.settimeout(2.0)

                def swallow() -> None:
                    while not over.is_set():
                        try:
                            if not greedy.peer.socket.recv(1 << 20):
                                return
                        except (TimeoutError, OSError):
                            return

                reader = threading.Thread(target=swallow, daemon=True)
                reader.start()
                while not over.is_set():
                    greedy.peer.send(b"".join(greedy.message() for _ in range(500)))
                reader.join()

        floods = [threading.Thread(target=flood, daemon=True) for _ in range(3)]
        for thread in floods:
            thread.start()
        try:
            with Healthy(impatient) as agent:
                for _ in range(30):
                    begun = time.monotonic()
                    agent.ask()
                    # Alone this takes a millisecond; 3 floods of 500 messages each would take longer than a second.
                    assert time.monotonic() - begun < 3
        finally:
            over.set()
            for thread in floods:
                thread.join(20)

    def test_who_pours_after_its_refusal_is_not_read_as_fast_as_it_can_send(self, impatient: LiveServer) -> None:
        with RawSocket(impatient.port).upgrade() as peer:
            peer.send(frame(PING, b"x") * 1_000)
            poured, until = 0, time.monotonic() + 1
            peer.socket.settimeout(0.2)
            while time.monotonic() < until:
                try:
                    poured += peer.socket.send(bytes(MIB))
                except TimeoutError:
                    continue
                except OSError:
                    break  # it was cut off
            # 50 reads a second of at most 256 KB, and what both sockets' buffers take; unhindered it is a gigabyte.
            assert poured < 40 * MIB
            assert CLOSE in [one.opcode for one in peer.frames()]

    def test_a_head_without_end_is_refused(self, impatient: LiveServer) -> None:
        assert impatient.process is not None
        before = resident_bytes(impatient.process.pid)
        for start in (b"GET /v1/opamp HTTP/1.1\r\nX: ", post_head("Transfer-Encoding: chunked") + b"0\r\nTrailer: "):
            with RawSocket(impatient.port) as peer:
                peer.send(start)
                for _ in range(100):
                    peer.send(b"y" * 100_000)
                assert status_of(peer.read_all()) in {431, 400}
        assert resident_bytes(impatient.process.pid) - before < 10 * MIB

    def test_a_refused_body_is_not_read_for_ever(self, impatient: LiveServer) -> None:
        with RawSocket(impatient.port) as peer:
            peer.send(post_head(f"Content-Length: {LIMIT + 1}"))
            assert peer.read_head().startswith(b"HTTP/1.1 413 ")
            trickle = Trickle(peer)
            peer.read_all()
            trickle.over.set()
            trickle.join()


@pytest.mark.rule("S-15", transport="websocket")
def test_the_close_of_a_peer_is_answered(impatient: LiveServer) -> None:
    with Healthy(impatient) as agent:
        agent.peer.send(frame(CLOSE, close_payload(1000, b"bye")))
        frames = agent.peer.frames()
    assert [(one.opcode, one.code) for one in frames] == [(CLOSE, 1000)]
