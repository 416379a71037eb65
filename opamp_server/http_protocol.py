"""HTTP requests: a head and a body that end, in time.

uvicorn's protocol parses and answers; here its public callbacks are extended by deadlines, which it has not. What they lean on
is tested (`tests/opamp_server/test_what_uvicorn_gives.py`).
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from opamp_server.deadlines import LINGER_SECONDS, LOGGER, WriteDeadline, seconds_allowed
from opamp_server.options import ServerOptions
from opamp_server.pacing import PacedWork, Pacing
from opamp_server.peer_certificates import TLS, tls_extension

# The kernel gives up on data that nobody acknowledges or makes room for (milliseconds).
_UNACKNOWLEDGED = 30_000
_LONGEST_HEAD = 64 * 1024
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
# Seconds; any pause lets the loop read what is there.
_READ_ONCE_MORE = 0.1
_TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class HttpProtocol(HttpToolsProtocol):
    """Deadlines for head and body of a request, for reading its answer, and an end to heads that never end."""

    _head_timer: asyncio.TimerHandle | None = None
    _body_timer: asyncio.TimerHandle | None = None
    _begun = 0.0
    _head_bytes = 0
    _body_bytes = 0
    _body_open = False
    _upgraded = False

    def __init__(self, *args: Any, options: ServerOptions, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = LOGGER
        self._options = options
        self._write_deadline: WriteDeadline | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The clock of the first request starts with the connection."""
        super().connection_made(transport)
        peer = transport.get_extra_info("socket")
        if peer is not None and hasattr(socket, "TCP_USER_TIMEOUT") and peer.family != socket.AF_UNIX:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED)
        self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; afterwards some clock runs unless a request is being answered."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._upgraded or self.transport.is_closing():
            return
        if self._body_open:
            # Chunk sizes and trailers count as head: beside a body they may be a multiple of it, not without end.
            if self._head_bytes > _LONGEST_HEAD + 10 * self._body_bytes:
                self._reject(_TOO_LONG)
            elif self._body_timer is None:
                self._begun = self.loop.time()
                self._body_timer = self.loop.call_later(
                    seconds_allowed(self._options.body_seconds, 0), self._body_is_late
                )
        elif self._head_timer is not None:
            if self._head_bytes > _LONGEST_HEAD:
                self._reject(_TOO_LONG)
        elif self.timeout_keep_alive_task is None and (self.cycle is None or self.cycle.response_complete):
            # Line ends between requests are no request, but they have stopped the clock of the idle connection.
            self._start_head_timer()

    def pause_writing(self) -> None:
        """The buffer is above its mark: from now on the peer must read."""
        super().pause_writing()
        if self._write_deadline is None:
            self._write_deadline = WriteDeadline(self.loop, self.transport)
        self._write_deadline.start()

    def resume_writing(self) -> None:
        """The peer has read."""
        super().resume_writing()
        if self._write_deadline is not None:
            self._write_deadline.stop()

    def on_message_begin(self) -> None:
        """A further request on a kept connection has begun."""
        super().on_message_begin()
        tls = tls_extension(self.transport)
        if tls is not None:
            self.scope["extensions"] = cast("Any", {TLS: tls})
        if self._head_timer is None:
            self._start_head_timer()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Trailers after a body are nothing to us."""
        if not self._body_open:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is here in time."""
        self._stop(("_head_timer",))
        self._head_bytes = self._body_bytes = 0
        self._body_open = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here in time."""
        self._stop(("_body_timer",))
        self._body_open = False
        self._head_bytes = 0
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete and self.timeout_keep_alive_task is None:
            # Answered before its end, and what came since has stopped the clock of the idle connection.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        """An answer before the end of the body is a refusal: the rest is thrown away, but not for long."""
        super().on_response_complete()
        if self._body_open and not self.transport.is_closing():
            self._stop(("_body_timer",))
            self._body_timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def handle_websocket_upgrade(self) -> None:
        """From here on the connection belongs to the other protocol."""
        self._upgraded = True
        self._stop(("_head_timer", "_body_timer"))
        if self.scope["http_version"] != "1.1":
            # uvicorn would pass it on as 1.1 (RFC 6455 section 4.2.1).
            self.send_400_response("A WebSocket needs HTTP/1.1.")
            return
        # A handshake costs a hundred heartbeats, and whole fleets come at once: those that are in do not wait for them.
        self.transport.pause_reading()
        Pacing.of(self.loop, PacedWork.HANDSHAKE).add(self._upgrade)

    def _upgrade(self) -> None:
        if self.transport.is_closing():
            return
        if self._write_deadline is not None:
            self._write_deadline.stop()
        super().handle_websocket_upgrade()
        if not self.transport.is_closing():
            self.transport.resume_reading()
        # The parser holds this protocol's methods. The end of the connection is told to the other protocol alone, so
        # without this the two would keep each other, and the transport, for as long as no garbage is collected.
        self.parser = None  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to wait for any more."""
        self._stop(("_head_timer", "_body_timer"))
        if self._write_deadline is not None:
            self._write_deadline.stop()
        super().connection_lost(exc)

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(self._options.head_seconds, self._head_is_late)

    def _stop(self, names: tuple[str, ...]) -> None:
        for name in names:
            timer: asyncio.TimerHandle | None = getattr(self, name)
            if timer is not None:
                timer.cancel()
                setattr(self, name, None)

    def _head_is_late(self) -> None:
        # A loop that is late itself runs timers before it reads what came in time: it reads once more before it refuses.
        self._head_timer = self.loop.call_later(_READ_ONCE_MORE, self._head_is_missing)

    def _head_is_missing(self) -> None:
        self._head_timer = None
        self._reject(_TIMED_OUT)

    def _body_is_late(self) -> None:
        self._body_timer = None
        now = self.loop.time()
        if self.flow.read_paused:
            self._begun = now  # it is we who do not read
        left = self._begun + seconds_allowed(self._options.body_seconds, self._body_bytes) - now
        if left > 0.01:
            self._body_timer = self.loop.call_later(left, self._body_is_late)
            return
        cycle = self.cycle
        self._reject(b"" if cycle is None or cycle.response_started else _TIMED_OUT)
        if cycle is not None:
            # The application waits for the rest; it learns that nothing comes any more.
            cycle.disconnected = True
            cycle.message_event.set()

    def _reject(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
