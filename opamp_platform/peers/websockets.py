"""WebSockets: bounded parsing, keeping and writing; permessage-deflate without memory (S-13)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from django.conf import settings
from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request
from websockets.protocol import OPEN, Protocol

from opamp_platform.peers.deadlines import LINGER_SECONDS, LOGGER, ReadsInTime, seconds_allowed
from opamp_platform.peers.frames import DEFLATE, FrameReader, short_frame, short_message
from opamp_platform.peers.turns import Kind, Turns
from opamp_platform.peers.waiting import Flag, Mailbox
from opamp_transport.asgi_extensions import ANSWERS_AT_ONCE
from opamp_transport.limits import INBOUND, TokenBucket

# A connection that makes us keep less than this is not accounted for.
_SMALL = 16 * 1024
# So much of what a peer sent at once is parsed in one go: at the worst some 170 frames, about a millisecond.
_SLICE = 1024
# What belongs to more than this is only collected in turns: when a large message is complete it is unmasked and copied, some
# milliseconds for each 10 MiB, and many of them may be complete at the same moment.
_LARGE = 64 * 1024
# Of a peer that is to go, so much as one read brings (256 KB) is thrown away each (seconds). The loop would read 32 times in a
# row from one that pours, and be late for everybody.
_THROWN_AWAY_EVERY = 0.02
# Pings and pongs of one connection: so many at once, then so many a second. Agents send one every few seconds.
_CONTROL_FRAMES, _CONTROL_RATE = 200, 10.0
# So many fragments of any size, beyond them only as many as fragments of this average size (bytes) would be.
_FRAGMENTS, _FRAGMENT_SIZE = 1024, 256
_NO_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_NOTHING = memoryview(b"")


class PatientWebSocketProtocol(ReadsInTime, WebSocketsSansIOProtocol):
    """A WebSocket whose peer cannot make us parse, keep or write without end."""

    # With these in it the dictionary of each connection would need twice the room.
    __slots__ = (
        "_answer", "_application_closed", "_application_waits", "_control", "_fragments", "_held", "_in_row",
        "_lent", "_message_begun", "_message_timer", "_parsed_frame", "_reader", "_refused", "_taken", "_turns",
        "_unparsed",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.queue: Mailbox[ASGIReceiveEvent] = Mailbox()  # type: ignore[assignment]
        self.writable = Flag()  # type: ignore[assignment]
        self.logger = self.conn.logger = LOGGER
        # A peer that does not answer our Close is cut off; it may come back as soon as it notices.
        self.close_timeout = LINGER_SECONDS
        self._reader = self.conn.reader = FrameReader()
        self.conn.parser = self.conn.parse()
        next(self.conn.parser)
        self._answer: Callable[[bytes], bytes | None] | None = None
        self._application_waits = False
        self._lent: dict[str, Any] = {}
        if settings.OPAMP_WEBSOCKET_COMPRESSION:
            self.conn.available_extensions = [DEFLATE]
        self._turns = Turns.of(self.loop, Kind.PARSING)
        self._unparsed = _NOTHING
        self._in_row = False
        self._parsed_frame = False
        self._control: TokenBucket | None = None
        self._fragments = 0
        # Bytes accounted for: the unfinished message, and messages that the application has not done with.
        self._held = self._taken = 0
        self._message_timer: asyncio.TimerHandle | None = None
        self._message_begun = 0.0
        self._refused = False
        self._application_closed = False

    # --- Reading ---------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse at once what is little, the rest in turns with other connections."""
        if self._refused:
            self._read_later()
            return
        if self._answer is not None and self._answered_at_once(data):
            return
        large = len(data) + len(self._reader.buffer) > _LARGE
        if len(data) <= _SLICE and not large and not self._unparsed and not self.read_paused:
            self._parse(data)
            return
        self._unparsed = memoryview(bytes(self._unparsed) + data) if self._unparsed else memoryview(data)
        if large:
            self._wait_for_turn()
            self._choose_reading()
        else:
            self._parse_slices()

    def parse_more(self) -> None:
        """The connection's turn has come."""
        self._in_row = False
        if not self.transport.is_closing():
            self._parse_slices()

    async def receive(self) -> ASGIReceiveEvent:
        """The next event; the application is done with the ones before."""
        if self._taken and self.queue.empty():
            self._taken = 0
            self._hold()
        self._application_waits = True
        try:
            while self.queue.empty():
                await self.queue.arrival()
        finally:
            self._application_waits = False
        message = self.queue.take()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            self._wait_for_turn()
            self._choose_reading()
        return message

    def _answered_at_once(self, data: bytes) -> bool:
        """True when ``data`` was one short message that the application answered where it stands (`ANSWERS_AT_ONCE`).

        Nobody is overtaken: nothing waits to be parsed, received or sent, and the next message comes with the next turn.
        """
        if (
            not (self._application_waits and self._reader.between_frames and self.writable.is_set())
            or self.conn.state is not OPEN
            or self.conn.current_size is not None
            or self.read_paused
            or self._unparsed
            or not self.queue.empty()
            or self.close_sent
            or self.transport.is_closing()
        ):
            return False
        message = short_message(data)
        answer = self._answer(message) if message is not None and self._answer is not None else None
        if answer is None:
            return False
        frame = None if self.conn.extensions else short_frame(answer)
        if frame is not None:
            self.transport.write(frame)
        else:
            self.conn.send_binary(answer)
            self.transport.write(b"".join(self.conn.data_to_send()))
        return True

    def _read_later(self) -> None:
        """What a peer sends that is to go is read and thrown away, but not as fast as it can send."""
        if not self.transport.is_closing():
            self.transport.pause_reading()
            self.loop.call_later(_THROWN_AWAY_EVERY, self._read_on)

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _parse_slices(self) -> None:
        """Parse until a frame is complete; the payload of a large one is only collected, all that is there at once."""
        while self._unparsed and not (self.read_paused or self._refused):
            size = max(_SLICE, self._reader.missing)
            piece, self._unparsed = bytes(self._unparsed[:size]), self._unparsed[size:]
            self._parsed_frame = False
            self._parse(piece)
            if self._parsed_frame:
                break
        if self._refused or not self._unparsed:
            self._unparsed = _NOTHING  # the end of a piece would keep the whole of it
        self._wait_for_turn()
        self._choose_reading()

    def _wait_for_turn(self) -> None:
        if self._unparsed and not self._in_row and not self.read_paused:
            self._in_row = True
            self._turns.join(self.parse_more)

    def _choose_reading(self) -> None:
        """Read from the peer only when nothing of it waits, neither for the application nor for the peer itself."""
        if self.transport.is_closing() or self._refused:
            return
        if self.read_paused or self._unparsed or not self.writable.is_set():
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _parse(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_complete:
            # Not even a request for an upgrade: uvicorn would leave the peer waiting.
            self._refused = self.handshake_complete = self.close_sent = True
            self.transport.write(b"".join(self.conn.data_to_send()) or _NO_HANDSHAKE)
            self.transport.close()
        elif not self._refused:
            self._hold()
            self._watch_message()

    # --- What a peer makes us keep -----------------------------------------------------------------------------------

    def _hold(self) -> None:
        """Account for the unfinished message and those the application has not taken; too much closes with 1013."""
        held = len(self.conn.reader.buffer) + (self.conn.current_size or 0) + self._taken
        if held < _SMALL:
            held = 0
        if held == self._held:
            return
        granted = INBOUND.change(held - self._held)
        self._held = held
        if not granted and not self._refused:
            self._refuse(CloseCode.TRY_AGAIN_LATER, "the server holds too many large messages")

    def send_receive_event_to_app(self) -> None:
        """A message is complete."""
        size = sum(len(frame) for frame in self.frames)
        self._fragments = 0
        self._message_begun = self.loop.time()
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self._refuse(CloseCode.INVALID_DATA, "a text message must be UTF-8")
                return
        if not self.close_sent:
            self._taken += size
        super().send_receive_event_to_app()

    def _watch_message(self) -> None:
        """A message that has begun must end in time."""
        unfinished = not self._reader.between_frames or self.conn.current_size is not None
        if unfinished and self._message_timer is None:
            self._message_begun = self.loop.time()
            self._message_timer = self.loop.call_later(seconds_allowed(0), self._message_is_late)
        elif not unfinished and self._message_timer is not None:
            self._message_timer.cancel()
            self._message_timer = None

    def _message_is_late(self) -> None:
        self._message_timer = None
        now = self.loop.time()
        if self.read_paused or self._unparsed:
            self._message_begun = now  # it is we who do not read
        left = self._message_begun + seconds_allowed(self._held) - now
        if left > 0.01:
            self._message_timer = self.loop.call_later(left, self._message_is_late)
        else:
            self._refuse(CloseCode.POLICY_VIOLATION, "the message took too long")

    def handle_connect(self, event: Request) -> None:
        """The handshake; the application learns what this server can do for it."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            self._lent = cast("dict[str, Any]", self.scope["extensions"])
            self._lent[ANSWERS_AT_ONCE] = self._answer_with

    def _forget_handshake(self) -> None:
        """What only the handshake needed would be a quarter of what a connection keeps."""
        del self.request, self.response
        lent = self.scope["extensions"]
        self.scope["headers"].clear()  # type: ignore[attr-defined]  # a list, which routers have handed on
        self.scope.clear()  # type: ignore[attr-defined]
        self.scope.update({"type": "websocket", "extensions": lent})
        parses = self.conn.close_rcvd is None and self.conn.close_sent is None and self.conn.parser_exc is None
        if parses and self._reader.between_frames and not self._reader.buffer:
            # The parser that has read the request holds it for as long as it lives.
            self.conn.parser.close()
            self.conn.parser = Protocol.parse(self.conn)
            next(self.conn.parser)

    def _answer_with(self, answer: Callable[[bytes], bytes | None]) -> None:
        self._answer = answer

    # --- Frames ------------------------------------------------------------------------------------------------------

    def handle_bytes(self, event: Frame) -> None:
        """The first or only frame of a message."""
        self._parsed_frame = True
        self._fragments = 1
        super().handle_bytes(event)
        event.data = b""  # the parser keeps its last frame

    def handle_text(self, event: Frame) -> None:
        """The first or only frame of a text message."""
        self._parsed_frame = True
        self._fragments = 1
        super().handle_text(event)

    def handle_cont(self, event: Frame) -> None:
        """A further frame of a message; many that carry nothing would cost memory without reaching a size limit."""
        self._parsed_frame = True
        self._fragments += 1
        if self._fragments > _FRAGMENTS + (self.conn.current_size or 0) // _FRAGMENT_SIZE:
            self._refuse(CloseCode.POLICY_VIOLATION, "too many small fragments")
            return
        super().handle_cont(event)
        event.data = b""

    def handle_ping(self) -> None:
        """Answer, within reason."""
        if self._control_frame():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """Our ping's answer, or an unasked one."""
        if self._control_frame():
            super().handle_pong(event)

    def _control_frame(self) -> bool:
        self._parsed_frame = True
        now = self.loop.time()
        if self._control is None:
            self._control = TokenBucket(_CONTROL_FRAMES, now)
        if self._control.take(_CONTROL_RATE, _CONTROL_FRAMES, now) <= 0:
            return True
        self._refuse(CloseCode.POLICY_VIOLATION, "too many pings or pongs")
        return False

    # --- Writing and the end -------------------------------------------------------------------------------------------

    async def send(self, message: ASGISendEvent) -> None:
        """As the application says. A connection that was closed behind its back is a peer that has gone, no mistake."""
        await self.writable.wait()
        if self.close_sent and not self._application_closed:
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.accept" and self.handshake_complete:
            self._forget_handshake()
        elif message["type"] == "websocket.accept":
            raise ClientDisconnected  # it went while it was judged
        elif message["type"] == "websocket.http.response.body" and self.close_sent:
            # Answered with another status; uvicorn would miss the upgrade when the application ends, and log an error.
            self.handshake_complete = True
        elif message["type"] == "websocket.close":
            self._application_closed = True
            # The peer's own Close may be among what is not parsed yet.
            self._wait_for_turn()

    def pause_writing(self) -> None:
        """The peer does not read: neither do we, or its pings would fill the buffer with pongs."""
        super().pause_writing()
        self._choose_reading()

    def resume_writing(self) -> None:
        """The peer has read."""
        super().resume_writing()
        self._choose_reading()

    def handle_parser_exception(self) -> None:
        """The library has failed the connection: its Close frame goes out, the rest is thrown away."""
        sent = self.conn.close_sent
        code, reason = (sent.code, sent.reason) if sent is not None else (CloseCode.ABNORMAL_CLOSURE, "")
        self._let_go(int(code), reason)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give everything back."""
        self._refused = True
        self._unparsed = _NOTHING
        self._stop_watching_reader()
        if self._message_timer is not None:
            self._message_timer.cancel()
            self._message_timer = None
        INBOUND.change(-self._held)
        self._held = 0
        super().connection_lost(exc)
        # All three would keep the connection and be kept by it.
        self._answer = None
        self._lent.pop(ANSWERS_AT_ONCE, None)
        self.conn.parser.close()

    def _refuse(self, code: CloseCode, reason: str) -> None:
        """Fail the connection with a Close frame of ours (RFC 6455 section 7.1.7)."""
        if self._refused:
            return
        if not self.close_sent:
            self.conn.fail(code, reason)
        self._let_go(int(code), reason)

    def _let_go(self, code: int, reason: str) -> None:
        """Send what is left, close our half, and read on without looking until the peer has gone or time is over."""
        self._refused = True
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.close_sent = True
        if self.transport.is_closing():
            return
        self.transport.write(b"".join(self.conn.data_to_send()))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.transport.resume_reading()
        self.close_timer = self.loop.call_later(LINGER_SECONDS, self.transport.abort)
