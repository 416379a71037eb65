"""What our protocols lean on in `uvicorn` and `websockets`: an upgrade that takes it away fails here."""

from __future__ import annotations

import asyncio
import inspect
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState
from websockets.protocol import Protocol, Side, State
from websockets.server import ServerProtocol

from opamp_server.http_protocol import HttpProtocol
from opamp_server.options import ServerOptions
from tests.raw_socket import BINARY, frame

pytestmark = pytest.mark.any_database

CALLBACKS = (
    "connection_made", "data_received", "connection_lost", "pause_writing", "resume_writing", "on_message_begin", "on_header",
    "on_headers_complete", "on_body", "on_message_complete", "on_response_complete", "handle_websocket_upgrade",
    "timeout_keep_alive_handler",
)  # fmt: skip
TWO_REQUESTS = (
    b"POST /one HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
    b"GET /two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
)


async def says_ok(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def test_it_extends_public_callbacks_alone() -> None:
    for name in CALLBACKS:
        assert callable(getattr(HttpToolsProtocol, name)), name
    ours = {
        name
        for name, value in vars(HttpProtocol).items()
        if inspect.isfunction(value) and hasattr(HttpToolsProtocol, name)
    }
    assert ours - {"__init__"} <= set(CALLBACKS)
    assert not {name for name in vars(HttpProtocol) if name.startswith("_") and not name.startswith("__")} & set(
        vars(HttpToolsProtocol)
    )


def test_callbacks_come_in_this_order_and_find_what_they_use() -> None:
    calls: list[str] = []

    class Noting(HttpProtocol):
        pass

    def noting(name: str) -> Any:
        def call(self: Any, *args: Any) -> None:
            assert self.cycle is None or isinstance(self.cycle.response_complete, bool)
            assert isinstance(self.flow.read_paused, bool)
            assert self.timeout_keep_alive_task is None or isinstance(self.timeout_keep_alive_task, asyncio.TimerHandle)
            calls.append(name)
            getattr(HttpProtocol, name)(self, *args)

        return call

    for name in CALLBACKS:
        if name.startswith("on_") and name != "on_header":
            setattr(Noting, name, noting(name))

    async def body() -> bytes:
        config = uvicorn.Config(says_ok, log_config=None)
        config.load()
        server = await asyncio.get_running_loop().create_server(
            lambda: Noting(config, ServerState(), {}, options=ServerOptions()), "127.0.0.1", 0
        )
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(TWO_REQUESTS)
            answers = await asyncio.wait_for(reader.read(), 20)
            writer.close()
            return answers

    assert asyncio.run(body()).count(b"HTTP/1.1 200 ") == 2
    begin, head, end, done = "on_message_begin", "on_headers_complete", "on_message_complete", "on_response_complete"
    assert [name for name in calls if name != done] == [begin, head, "on_body", end, begin, head, end]
    assert calls.count(done) == 2


def test_the_library_frees_what_holds_itself_when_its_parser_is_closed() -> None:
    for protocol in (Protocol(Side.SERVER, state=State.OPEN), ServerProtocol()):
        assert inspect.isgenerator(protocol.parser)
        protocol.parser.close()
        protocol.parser.close()


def test_extensions_and_size_are_taken_from_the_handshake_to_what_follows() -> None:
    protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=10)
    assert protocol.extensions == []
    protocol.receive_data(frame(BINARY, b"0123456789"))
    [event] = protocol.events_received()
    assert bytes(event.data) == b"0123456789"  # type: ignore[union-attr]
    protocol.receive_data(frame(BINARY, bytes(11))[:6])
    assert protocol.parser_exc is not None, "refused at its head, before it has come"
    assert protocol.close_sent is not None
    assert protocol.close_sent.code == 1009


@pytest.mark.parametrize(("package", "pinned"), [("uvicorn", "0.54."), ("websockets", "17.4")])
def test_the_releases_are_those_it_was_written_for(package: str, pinned: str) -> None:
    assert version(package).startswith(pinned)
    project = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"{package}~={pinned.rstrip(".")}.0"' in project
