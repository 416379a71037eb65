"""A WebSocket connection: bytes of a socket on one side, an ASGI application on the other.

Owns the connection's states; reading is `message_reader`'s, writing `message_writer`'s, the handshake `handshake`'s, pings are
`keepalive`'s. A peer cannot make it parse, keep or write without end.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from websockets.exceptions import InvalidState
from websockets.frames import CloseCode
from websockets.protocol import Protocol

from opamp_server.asgi_extensions import ANSWERS_AT_ONCE
from opamp_server.deadlines import LINGER_SECONDS, LOGGER, discard_slowly
from opamp_server.frames import short_message
from opamp_server.handshake import Handshake, websocket_extensions, websocket_scope
from opamp_server.keepalive import Keepalive
from opamp_server.message_reader import MessageReader
from opamp_server.message_writer import MessageWriter
from opamp_server.options import ServerOptions
from opamp_server.waiting import Mailbox

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

_ABNORMAL, _NO_STATUS = 1006, 1005


class ClientDisconnected(OSError):
    """What an application meets that sends to a peer that has gone."""


class _State(enum.Enum):
    HANDSHAKE = enum.auto()
    OPEN = enum.auto()
    # The application has closed; the peer's Close is missing.
    CLOSING = enum.auto()
    # We have; what still comes is thrown away.
    FAILED = enum.auto()
    CLOSED = enum.auto()


class WebSocketProtocol(asyncio.Protocol):
    """One connection, as uvicorn makes them: the first data is the request that asked for the upgrade."""

    # There are ten thousands of these: a dictionary of each would weigh more than what is in it.
    __slots__ = (
        "__weakref__", "_answer", "_app_state", "_application", "_application_closed", "_application_waits",
        "_close_timer", "_config", "_events", "_extensions", "_handshake", "_is_lost", "_keepalive", "_loop",
        "_options", "_read_paused", "_reader", "_server_state", "_state", "_websocket", "_writer",
        "transport",
    )  # fmt: skip

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        options: ServerOptions,
    ) -> None:
        self._config = config
        self._application = config.loaded_app
        self._options = options
        self._loop = _loop or asyncio.get_running_loop()
        self._server_state = server_state
        self._app_state = app_state
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # until the connection is made
        self._state = _State.HANDSHAKE
        self._handshake: Handshake | None = Handshake(options)
        self._extensions: dict[str, Any] = {}
        self._answer: Callable[[bytes], bytes | None] | None = None
        self._events: Mailbox[Mapping[str, Any]] = Mailbox()
        self._application_waits = False
        self._application_closed = False
        self._websocket: Protocol | None = None
        self._reader: MessageReader | None = None
        self._read_paused = False
        self._writer: MessageWriter = None  # type: ignore[assignment]  # as long
        self._close_timer: asyncio.TimerHandle | None = None
        self._keepalive: Keepalive | None = None
        self._is_lost = False

    # --- The socket --------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is ours from now on."""
        self.transport = transport  # type: ignore[assignment]  # uvloop's transports are no subclasses
        self._writer = MessageWriter(self.transport, self._loop)
        self._server_state.connections.add(self)  # type: ignore[arg-type]  # names uvicorn's own classes alone

    def data_received(self, data: bytes) -> None:
        """The request first, then frames."""
        if self._answer is not None and self._answered_at_once(data):
            return
        if self._reader is not None and self.accepts_data:
            self._reader.feed(data)
        elif self._handshake is None or self._state is not _State.HANDSHAKE:
            discard_slowly(self._loop, self.transport)
        elif self._handshake.scope is None:
            self._begin(self._handshake, data)
        else:
            # It should wait for the answer (RFC 6455 section 4.1); what it sends meanwhile waits instead.
            self._handshake.early += data
            self.transport.pause_reading()

    def pause_writing(self) -> None:
        """The peer does not read: neither do we, or its pings would fill the buffer with pongs."""
        self._writer.pause()
        self.choose_reading()

    def resume_writing(self) -> None:
        """The peer has read."""
        self._writer.resume()
        self.choose_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give everything back."""
        self._is_lost = True
        self._state = _State.CLOSED
        self._stop_timers()
        self._events.put_nowait({"type": "websocket.disconnect", "code": _NO_STATUS if self._websocket else _ABNORMAL})
        self._server_state.connections.discard(self)
        # What follows would keep the connection and be kept by it.
        self._writer.close()
        if self._reader is not None:
            self._reader.close()
        if self._handshake is not None:
            self._handshake.close()
        self._answer = None
        self._extensions.pop(ANSWERS_AT_ONCE, None)

    def shutdown(self) -> None:
        """The server stops."""
        if self._state is _State.OPEN:
            self._events.put_nowait({"type": "websocket.disconnect", "code": CloseCode.SERVICE_RESTART})
            self._writer.send_close(CloseCode.SERVICE_RESTART, "")
            self._state = _State.CLOSED
        else:
            self._answer_with_an_error()
        self._stop_timers()
        self.transport.close()

    def _stop_timers(self) -> None:
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None
        if self._keepalive is not None:
            self._keepalive.stop()
            self._keepalive = None

    # --- Reading -----------------------------------------------------------------------------------------------------

    @property
    def accepts_data(self) -> bool:
        """See `message_reader.Connection`; so are the following."""
        return self._state is _State.OPEN or self._state is _State.CLOSING

    @property
    def application_is_busy(self) -> bool:
        """True while a message waits that the application has not taken."""
        return self._read_paused

    def deliver(self, event: Mapping[str, Any]) -> bool:
        """A message is complete. The next one is read when this one was taken."""
        if self._state is not _State.OPEN:
            return False
        self._events.put_nowait(event)
        if not self._read_paused:
            self._read_paused = True
            self.transport.pause_reading()
        return True

    def choose_reading(self) -> None:
        """Read from the peer only when nothing of it waits, neither for the application nor for the peer itself."""
        if self._reader is None or self.transport.is_closing() or not self.accepts_data:
            return
        if self._read_paused or self._reader.unparsed or not self._writer.writable.is_set():
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def flush(self) -> None:
        """Write what the library wants written."""
        self._writer.flush()

    def _answered_at_once(self, data: bytes) -> bool:
        """True for one short message that the application answered at once; nobody is overtaken by it."""
        if (
            not (self._application_waits and self._writer.writable.is_set())
            or self._state is not _State.OPEN
            or self._reader is None
            or not self._reader.between_messages
            or self._read_paused
            or not self._events.empty()
            or self.transport.is_closing()
        ):
            return False
        message = short_message(data)
        answer = self._answer(message) if message is not None and self._answer is not None else None
        if answer is None:
            return False
        self._writer.send_short(answer)
        return True

    # --- The application -----------------------------------------------------------------------------------------------

    def _begin(self, handshake: Handshake, head: bytes) -> None:
        request = handshake.receive(head)
        if isinstance(request, bytes):
            self._end_handshake(request)
            return
        self._extensions = websocket_extensions(self.transport) | {ANSWERS_AT_ONCE: self._answer_with}
        handshake.scope = websocket_scope(request, self._config.root_path, self.transport) | {
            "asgi": {"version": self._config.asgi_version, "spec_version": "2.4"},
            "state": self._app_state.copy(),
            "extensions": self._extensions,
        }
        self._events.put_nowait({"type": "websocket.connect"})
        task = self._loop.create_task(self._run(handshake.scope))
        task.add_done_callback(self._server_state.tasks.discard)
        self._server_state.tasks.add(task)

    def _answer_with(self, answer: Callable[[bytes], bytes | None]) -> None:
        self._answer = answer

    async def _run(self, scope: MutableMapping[str, Any]) -> None:
        try:
            await self._application(scope, self.receive, self.send)
            if self._state is _State.HANDSHAKE:
                LOGGER.error("the application returned without an answer to the handshake")
        except ClientDisconnected:
            LOGGER.debug("the peer had gone")
        except Exception:  # noqa: BLE001  any of the application's
            LOGGER.exception("the application failed")
        finally:
            self._answer_with_an_error()
            if self._close_timer is None:
                self.transport.close()

    async def receive(self) -> Mapping[str, Any]:
        """The next event; the application is done with the ones before."""
        if self._reader is not None and self._events.empty():
            self._reader.release_messages()
        self._application_waits = True
        try:
            while self._events.empty():
                await self._events.arrival()
        finally:
            self._application_waits = False
        event = self._events.take()
        if self._read_paused and self._events.empty():
            self._read_paused = False
            if self._reader is not None:
                self._reader.go_on()
            self.choose_reading()
        return event

    async def send(self, message: Mapping[str, Any]) -> None:
        """As the application says. Raises `ClientDisconnected` when the peer has gone, RuntimeError for a mistake."""
        await self._writer.writable.wait()
        kind = message["type"]
        if self._is_lost:
            raise ClientDisconnected
        if self._application_closed:
            raise RuntimeError(f"{kind} after the end of the connection")
        if self._state is _State.OPEN:
            self._send_open(kind, message)
        elif self._handshake is not None and self._state is _State.HANDSHAKE and not self.transport.is_closing():
            self._answer_handshake(self._handshake, message)
        else:
            raise ClientDisconnected

    def _send_open(self, kind: str, message: Mapping[str, Any]) -> None:
        if kind == "websocket.close":
            self._close(message.get("code") or CloseCode.NORMAL_CLOSURE, message.get("reason") or "")
            return
        if kind != "websocket.send":
            raise RuntimeError(f"{kind} on an open connection")
        try:
            self._writer.send(message.get("bytes"), message.get("text"))
        except InvalidState:
            raise ClientDisconnected from None

    def _answer_handshake(self, handshake: Handshake, message: Mapping[str, Any]) -> None:
        answer = handshake.answer(message)
        if answer is None:
            return
        if answer.websocket is None:
            self._application_closed = True
            self._end_handshake(answer.data)
            return
        self.transport.write(answer.data)
        self._websocket = answer.websocket
        self._writer.open(answer.websocket)
        self._state = _State.OPEN
        self._reader = MessageReader(self, answer.websocket, self._options, self._loop)
        self._handshake = None
        handshake.close()
        self._extensions.pop("tls", None)
        if self._options.ping_seconds is not None:
            self._keepalive = Keepalive(self, self._options.ping_seconds, self._options.pong_seconds, self._loop)
        if handshake.early:
            self._reader.feed(handshake.early)
            self.choose_reading()

    # --- The end -------------------------------------------------------------------------------------------------------

    def _answer_with_an_error(self) -> None:
        if self._handshake is not None and self._state is _State.HANDSHAKE:
            self._end_handshake(self._handshake.reject(500, "Internal Server Error"))

    def _end_handshake(self, answer: bytes) -> None:
        self._state = _State.CLOSED
        self._events.put_nowait({"type": "websocket.disconnect", "code": _ABNORMAL})
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()

    def _close(self, code: int, reason: str) -> None:
        """The application closes: what it sent goes out first, and the peer's own Close is waited for."""
        self._application_closed = True
        if self.transport.is_closing():
            return
        self._events.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._writer.send_close(code, reason)
        self._state = _State.CLOSING
        self._close_timer = self._loop.call_later(LINGER_SECONDS, self.transport.close)
        self._read_paused = False
        if self._reader is not None:
            # The peer's Close may be among what is not parsed yet.
            self._reader.go_on()
        self.choose_reading()

    def close_received(self) -> None:
        """The peer's Close: the answer to ours, or the begin of the end."""
        if self._state is _State.OPEN and self._websocket is not None:
            close = self._websocket.close_rcvd
            code = close.code if close else _NO_STATUS
            self._events.put_nowait(
                {"type": "websocket.disconnect", "code": code, "reason": close.reason if close else ""}
            )
            self.flush()
        self._state = _State.CLOSED
        self._stop_timers()
        self.transport.close()

    def parser_failed(self) -> None:
        """The library has failed the connection: its Close goes out."""
        close = self._websocket.close_sent if self._websocket is not None else None
        self._linger(close.code if close else _ABNORMAL, close.reason if close else "")

    def fail(self, code: CloseCode, reason: str) -> None:
        """Fail the connection with a Close frame of ours (RFC 6455 section 7.1.7)."""
        if self.accepts_data:
            if self._state is _State.OPEN:
                self._writer.fail(code, reason)
            self._linger(int(code), reason)

    def _linger(self, code: int, reason: str) -> None:
        """Send what is left, close our half, and read on without looking until the peer has gone or time is over."""
        self._state = _State.FAILED
        self._stop_timers()
        self._events.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.transport.is_closing():
            return
        self.flush()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.transport.resume_reading()
        self._close_timer = self._loop.call_later(LINGER_SECONDS, self.transport.abort)

    # --- For `keepalive` -----------------------------------------------------------------------------------------------

    def send_ping(self, payload: bytes) -> bool:
        """Send a ping; false when there is nobody to send it to any more."""
        if self._state is not _State.OPEN or self.transport.is_closing():
            return False
        self._writer.send_ping(payload)
        return True

    def pong_is_late(self) -> None:
        """The peer has not answered: it has gone, most likely, and is not waited for."""
        if self._state is _State.OPEN and not self.transport.is_closing():
            self._writer.fail(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")
            self._state = _State.CLOSED
            self.transport.close()

    def pong_received(self, payload: bytes) -> None:
        """A pong has come, asked for or not."""
        if self._keepalive is not None:
            self._keepalive.pong_received(payload)
