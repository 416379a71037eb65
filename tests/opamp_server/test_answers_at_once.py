"""Messages answered without waking the application: only whole ones, only when nobody is overtaken; real sockets."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from opamp_server.asgi_extensions import ANSWERS_AT_ONCE
from opamp_server.http_protocol import HttpProtocol
from opamp_server.options import ServerOptions
from opamp_server.websocket_protocol import WebSocketProtocol
from tests.raw_socket import BINARY, CLOSE, CONTINUATION, RawSocket, frame

pytestmark = pytest.mark.any_database

QUESTION = b"?how are you"


class Counting(WebSocketProtocol):
    """Tells how many pieces have arrived, of all connections."""

    pieces = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        Counting.pieces += 1


class Server:
    """A server in a thread of its own whose application answers questions at once and receives everything else."""

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self.received: list[bytes] = []
        self.asked: list[bytes] = []
        self.port = 0
        self.loop = asyncio.new_event_loop()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._started.wait(30)

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        scope["extensions"][ANSWERS_AT_ONCE](self.answer)
        while (event := await receive())["type"] == "websocket.receive":
            self.received.append(event["bytes"])
            await self.may_answer.wait()
            await send({"type": "websocket.send", "bytes": b"received " + event["bytes"]})

    def answer(self, message: bytes) -> bytes | None:
        self.asked.append(message)
        if not message.startswith(b"?"):
            return None
        return b"at once " + message[1:] * (20 if message.startswith(b"?long") else 1)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        config = uvicorn.Config(
            self.application,
            interface="asgi3",
            ws=functools.partial(Counting, options=self.options),  # type: ignore[arg-type]
            log_config=None,
        )
        config.load()
        state = ServerState()
        server = self.loop.run_until_complete(
            self.loop.create_server(
                lambda: HttpProtocol(config, state, {}, self.loop, options=self.options), "127.0.0.1", 0
            )
        )
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self.loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0.01))
        self.loop.close()

    def call(self, function: Callable[[], None]) -> None:
        self.loop.call_soon_threadsafe(function)

    def stop(self) -> None:
        self.call(self.loop.stop)
        self._thread.join(30)


@pytest.fixture
def options() -> ServerOptions:
    return ServerOptions(ping_seconds=None)


@pytest.fixture
def server(options: ServerOptions) -> Iterator[Server]:
    server = Server(options)
    yield server
    server.stop()


@pytest.fixture
def peer(server: Server) -> Iterator[RawSocket]:
    with RawSocket(server.port) as peer:
        yield peer.upgrade()


def eventually(claim: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def send_piece(peer: RawSocket, data: bytes) -> None:
    """Send ``data``, and return when the server has read it."""
    before = Counting.pieces
    peer.send(data)
    eventually(lambda: Counting.pieces > before)


def answered(peer: RawSocket) -> bytes:
    got = peer.read_frame()
    assert got is not None
    assert got.opcode == BINARY, got
    return got.payload


@pytest.mark.rule("S-36", transport="websocket")
def test_the_application_does_not_see_what_was_answered_at_once(server: Server, peer: RawSocket) -> None:
    for _ in range(3):
        peer.send(frame(BINARY, QUESTION))
        assert answered(peer) == b"at once how are you"
    peer.send(frame(BINARY, b"news"))
    assert answered(peer) == b"received news"
    peer.send(frame(BINARY, QUESTION))
    assert answered(peer) == b"at once how are you"
    assert server.received == [b"news"]


def test_an_answer_may_be_longer_than_a_short_frame(peer: RawSocket) -> None:
    peer.send(frame(BINARY, b"?long question"))
    assert answered(peer) == b"at once " + b"long question" * 20


@pytest.mark.rule("S-106", "S-107", transport="websocket")
def test_nothing_overtakes_a_message_that_is_worked_on(server: Server, peer: RawSocket) -> None:
    server.call(server.may_answer.clear)
    peer.send(frame(BINARY, b"news"))
    eventually(lambda: server.received == [b"news"])
    peer.send(frame(BINARY, QUESTION))
    peer.send(frame(BINARY, b"more"))
    server.call(server.may_answer.set)
    assert [answered(peer) for _ in range(3)] == [b"received news", b"received " + QUESTION, b"received more"]


def test_several_messages_at_once_keep_their_order(peer: RawSocket) -> None:
    peer.send(frame(BINARY, b"one") + frame(BINARY, QUESTION) + frame(BINARY, b"two"))
    assert [answered(peer) for _ in range(3)] == [b"received one", b"received " + QUESTION, b"received two"]


@pytest.mark.parametrize("cut", range(1, len(frame(BINARY, QUESTION))))
def test_a_message_in_two_pieces_is_one_message(server: Server, peer: RawSocket, cut: int) -> None:
    whole = frame(BINARY, QUESTION)
    send_piece(peer, whole[:cut])
    peer.send(whole[cut:])
    assert answered(peer) == b"received " + QUESTION
    peer.send(whole)
    assert answered(peer) == b"at once how are you"


def test_what_looks_like_a_message_inside_another_one_is_part_of_it(server: Server, peer: RawSocket) -> None:
    inner = frame(BINARY, QUESTION)
    outer = frame(BINARY, inner + b"end", mask=bytes(4))
    head = len(outer) - len(inner) - 3
    send_piece(peer, outer[:head])
    send_piece(peer, outer[head : head + len(inner)])
    peer.send(outer[head + len(inner) :])
    assert answered(peer) == b"received " + inner + b"end"
    assert server.asked == []


def test_a_message_inside_a_fragmented_one_is_an_error(server: Server, peer: RawSocket) -> None:
    send_piece(peer, frame(BINARY, b"first part", fin=False))
    peer.send(frame(BINARY, QUESTION))
    got = peer.read_frame()
    assert got is not None
    assert (got.opcode, got.code) == (CLOSE, 1002)
    assert server.asked == []


def test_a_fragmented_message_is_received_whole(server: Server, peer: RawSocket) -> None:
    send_piece(peer, frame(BINARY, QUESTION[:4], fin=False))
    peer.send(frame(CONTINUATION, QUESTION[4:]))
    assert answered(peer) == b"received " + QUESTION
    peer.send(frame(BINARY, QUESTION))
    assert answered(peer) == b"at once how are you"


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (frame(BINARY, QUESTION, masked=False), 1002),
        (frame(BINARY, QUESTION, reserved=4), 1002),
        (frame(0x3, QUESTION), 1002),
    ],
    ids=["unmasked", "reserved bit", "unknown opcode"],
)
def test_frames_that_are_wrong_are_not_answered(server: Server, peer: RawSocket, bad: bytes, code: int) -> None:
    peer.send(bad)
    got = peer.read_frame()
    assert got is not None
    assert (got.opcode, got.code) == (CLOSE, code)
    assert server.asked == []


def test_nothing_is_answered_after_the_end(server: Server, peer: RawSocket) -> None:
    peer.send(frame(CLOSE, b"\x03\xe8"))
    peer.send(frame(BINARY, QUESTION))
    got = peer.read_frame()
    assert got is not None
    assert (got.opcode, got.code) == (CLOSE, 1000)
    assert peer.read_frame() is None
    assert server.asked == []


@pytest.mark.rule("S-111", transport="websocket")
@pytest.mark.parametrize("options", [ServerOptions(ping_seconds=None, body_seconds=0.3)])
@pytest.mark.parametrize("begun", [1, 2, 5], ids=["half a header", "a header", "a header and half a mask"])
def test_a_message_that_only_begins_is_not_waited_for(server: Server, begun: int) -> None:
    with RawSocket(server.port) as peer:
        peer.upgrade()
        peer.send(frame(BINARY, QUESTION)[:begun])
        got = peer.read_frame()
    assert got is not None
    assert (got.opcode, got.code) == (CLOSE, 1008)
