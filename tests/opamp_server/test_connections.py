"""A peer must take what is sent to it: real sockets in one loop, with a deadline short enough to wait for."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct
import weakref
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState
from websockets.asyncio.client import ClientConnection, connect
from websockets.http11 import Request, Response
from websockets.protocol import SERVER, Protocol
from websockets.server import ServerProtocol

from opamp_server import deadlines
from opamp_server.asgi_extensions import ANSWERS_AT_ONCE
from opamp_server.deadlines import WriteDeadline, seconds_allowed
from opamp_server.http_protocol import HttpProtocol
from opamp_server.options import ServerOptions
from opamp_server.websocket_protocol import WebSocketProtocol

pytestmark = pytest.mark.any_database

MIB = 1024 * 1024


class Sender(asyncio.Protocol):
    """Sends a lot at once; ``lost`` is done when the connection is."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[float] = self.loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.deadline = WriteDeadline(self.loop, transport)
        self.begun = self.loop.time()
        transport.write(bytes(8 * MIB))

    def pause_writing(self) -> None:
        self.deadline.start()

    def resume_writing(self) -> None:
        self.deadline.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        self.deadline.stop()
        self.lost.set_result(self.loop.time() - self.begun)


async def connected() -> tuple[Sender, socket.socket, asyncio.Server]:
    """A sender and the plain socket of its peer, whose buffers are small."""
    senders: list[Sender] = []

    def made() -> Sender:
        senders.append(Sender())
        return senders[0]

    server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    peer.setblocking(False)
    await asyncio.get_running_loop().sock_connect(peer, server.sockets[0].getsockname())
    while not senders:
        await asyncio.sleep(0.01)
    return senders[0], peer, server


class TestWriteDeadline:
    @pytest.mark.rule("S-106", "S-111")
    def test_who_never_reads_is_cut_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(deadlines, "_WRITE_SECONDS", 0.3)

        async def body() -> None:
            sender, peer, server = await connected()
            async with server:
                assert await asyncio.wait_for(sender.lost, 20) >= 0.3
                peer.close()

        asyncio.run(body())

    def test_who_reads_slowly_but_steadily_gets_everything(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(deadlines, "_WRITE_SECONDS", 1.0)
        monkeypatch.setattr(deadlines, "_LEAST_TAKEN", 1024)

        async def body() -> None:
            sender, peer, server = await connected()
            loop = asyncio.get_running_loop()
            async with contextlib.AsyncExitStack() as stack:
                await stack.enter_async_context(server)
                stack.callback(peer.close)
                received, begun = 0, loop.time()
                while received < 8 * MIB:
                    part = await asyncio.wait_for(loop.sock_recv(peer, 64 * 1024), 20)
                    assert part, "cut off"
                    received += len(part)
                    if loop.time() - begun < 2.5:
                        await asyncio.sleep(0.05)
                assert loop.time() - begun > 1.0, "it was over before the deadline came"
                assert not sender.lost.done()

        asyncio.run(body())


def test_a_large_body_has_more_time() -> None:
    assert seconds_allowed(60, 0) == 60
    assert 60 + 30 * 60 < seconds_allowed(60, 64 * MIB) < 60 + 60 * 60


@pytest.fixture
def nothing_is_collected() -> Iterator[None]:
    """What is freed in the test is freed because nobody refers to it."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Accepts, and says back what it hears, until the peer goes."""
    await receive()
    await send({"type": "websocket.accept"})

    def answer(_message: bytes) -> bytes | None:
        """Leaves every message to be received; like an entry point's, it has what the answer would be sent with."""
        return None if send else b""

    scope["extensions"][ANSWERS_AT_ONCE](answer)
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": event["bytes"]})


async def says_goodbye(peer: ClientConnection) -> None:
    await peer.close()


async def is_cut_off(peer: ClientConnection) -> None:
    peer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.transport.abort()


async def listening(application: Any, made: list[weakref.ref[object]]) -> asyncio.Server:
    """A server of ``application``; its protocols are added to ``made``."""

    def remembered(kind: type[Any]) -> Callable[..., Any]:
        def make(*args: Any, **kwargs: Any) -> Any:
            protocol = kind(*args, options=ServerOptions(), **kwargs)
            made.append(weakref.ref(protocol))
            return protocol

        return make

    config = uvicorn.Config(application, ws=remembered(WebSocketProtocol), log_config=None)  # type: ignore[arg-type]
    config.load()
    make = remembered(HttpProtocol)
    return await asyncio.get_running_loop().create_server(
        lambda: make(config=config, server_state=ServerState(), app_state={}), "127.0.0.1", 0
    )


@pytest.mark.usefixtures("nothing_is_collected")
@pytest.mark.parametrize("ends", [says_goodbye, is_cut_off])
def test_a_connection_that_ended_is_freed_without_collecting_garbage(
    ends: Callable[[ClientConnection], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that reconnects all day would else cost its connection's memory each time."""
    made: list[weakref.ref[object]] = []
    begin = Protocol.__init__

    def remembered(self: Protocol, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        if self.side is SERVER:
            made.append(weakref.ref(self))

    monkeypatch.setattr(Protocol, "__init__", remembered)

    async def body() -> None:
        async with await listening(echo, made) as server:
            host, port = server.sockets[0].getsockname()
            async with connect(f"ws://{host}:{port}/", proxy=None) as peer:
                await peer.send(b"hello")
                assert await peer.recv() == b"hello"
                await ends(peer)
            async with asyncio.timeout(10):
                while any(one() is not None for one in made):
                    await asyncio.sleep(0.01)

    asyncio.run(body())
    # Of HTTP, of the WebSocket, and the library's two: of the handshake and of what followed.
    assert len(made) == 4


@pytest.mark.usefixtures("nothing_is_collected")
def test_an_open_connection_does_not_keep_its_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request, its headers and the scope made of them would be a quarter of what an agent costs."""
    judged: list[weakref.ref[object]] = []
    scopes: list[Any] = []
    accept = ServerProtocol.accept

    def remembered(self: ServerProtocol, request: Request) -> Response:
        response = accept(self, request)
        judged.extend((weakref.ref(self), weakref.ref(request), weakref.ref(response)))
        return response

    async def application(scope: Any, receive: Any, send: Any) -> None:
        scopes.append((scope, scope["headers"]))
        await echo(scope, receive, send)

    monkeypatch.setattr(ServerProtocol, "accept", remembered)

    async def body() -> None:
        async with await listening(application, []) as server:
            host, port = server.sockets[0].getsockname()
            async with connect(f"ws://{host}:{port}/", proxy=None) as peer:
                for message in (b"one", b"two"):
                    await peer.send(message)
                    assert await peer.recv() == message
                assert [known() for known in judged] == [None, None, None]
                [(scope, headers)] = scopes
                assert set(scope) == {"type", "extensions"}
                assert headers == []

    asyncio.run(body())
