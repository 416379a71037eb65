"""What comes in on one WebSocket: bytes in, whole messages out, in small pieces, within memory and time.

The library's parser is fed and asked for events, no more; where it stands is followed beside it (`frames.FrameBounds`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from typing import Protocol as Interface

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol

from opamp_server.deadlines import seconds_allowed
from opamp_server.frames import FrameBounds
from opamp_server.options import ServerOptions
from opamp_server.pacing import PacedWork, Pacing
from opamp_server.rates import TokenBucket

# A connection that makes us keep less than this is not accounted for.
_SMALL = 16 * 1024
# So much of what a peer sent at once is parsed in one go: at the worst some 170 frames, about a millisecond.
_SLICE = 1024
# What belongs to more than this is only collected in paced pieces: when a large message is complete it is unmasked and copied,
# some milliseconds for each 10 MiB, and many of them may be complete at the same moment.
_LARGE = 64 * 1024
# Pings and pongs of one connection: so many at once, then so many a second. Clients send one every few seconds.
_CONTROL_FRAMES, _CONTROL_RATE = 200, 10.0
# So many fragments of any size, beyond them only as many as fragments of this average size (bytes) would be.
_FRAGMENTS, _FRAGMENT_SIZE = 1024, 256
_NOTHING = memoryview(b"")


class ReaderOwner(Interface):
    """What the reader needs of the connection it reads for."""

    @property
    def accepts_data(self) -> bool:
        """False when the connection is to end, and what still comes means nothing."""

    @property
    def application_is_busy(self) -> bool:
        """True while a message waits that the application has not taken."""

    def deliver(self, event: Mapping[str, Any]) -> bool:
        """A message is complete; false when nobody wants it any more."""

    def pong_received(self, payload: bytes) -> None:
        """A pong has come, asked for or not."""

    def close_received(self) -> None:
        """The peer's Close has come; the library has written ours."""

    def parser_failed(self) -> None:
        """The library has failed the connection; its Close waits to be written."""

    def fail(self, code: CloseCode, reason: str) -> None:
        """End the connection because of what the peer does."""

    def flush(self) -> None:
        """Write what the library wants written."""

    def choose_reading(self) -> None:
        """Read from the peer or pause, as things stand."""


class MessageReader:
    """One connection's incoming half, from the end of its handshake on."""

    __slots__ = (
        "_begun", "_body_seconds", "_bounds", "_connection", "_control", "_count", "_frame_parsed", "_held", "_loop", "_memory",
        "_pacing", "_parts", "_queued", "_size", "_taken", "_text", "_timer", "_websocket", "unparsed",
    )  # fmt: skip

    def __init__(
        self, connection: ReaderOwner, websocket: Protocol, options: ServerOptions, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._connection: ReaderOwner | None = connection
        self._websocket = websocket
        self._loop = loop
        self._body_seconds = options.body_seconds
        self._memory = options.memory
        self._pacing = Pacing.of(loop, PacedWork.PARSING)
        self._bounds = FrameBounds()
        # What was received and is not parsed yet; while there is some, nothing is read from the peer.
        self.unparsed = _NOTHING
        self._queued = False
        self._frame_parsed = False
        self._control: TokenBucket | None = None
        # The unfinished message: its fragments, how many and how many bytes they are, and whether it is text.
        self._parts: list[bytes] | None = None
        self._count = self._size = 0
        self._text = False
        # Bytes accounted for: the unfinished message, and messages that the application has not done with.
        self._held = self._taken = 0
        self._timer: asyncio.TimerHandle | None = None
        self._begun = 0.0

    @property
    def between_messages(self) -> bool:
        """True when everything received so far was parsed, and nothing of a further message is here."""
        return not (self._bounds.held or self.unparsed) and self._parts is None

    def feed(self, data: bytes) -> None:
        """Parse at once what is little, the rest in turn with other connections."""
        connection = self._connection
        if connection is None:
            return
        large = len(data) + self._bounds.held > _LARGE
        if len(data) <= _SLICE and not (large or self.unparsed or connection.application_is_busy):
            self._parse(data)
            return
        self.unparsed = memoryview(bytes(self.unparsed) + data) if self.unparsed else memoryview(data)
        if large:
            self.go_on()
            connection.choose_reading()
        else:
            self._parse_slices()

    def go_on(self) -> None:
        """Parse what waits when it is this connection's turn, unless the application has something to take first."""
        connection = self._connection
        if self.unparsed and not self._queued and connection is not None and not connection.application_is_busy:
            self._queued = True
            self._pacing.add(self._parse_next)

    def release_messages(self) -> None:
        """The application has done with all messages that it took."""
        if self._taken:
            self._taken = 0
            self._account()

    def close(self) -> None:
        """Give everything back; the connection has ended."""
        self._connection = None
        self.unparsed = _NOTHING
        self._parts = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._memory.change(-self._held)
        self._held = 0

    # --- In pieces ---------------------------------------------------------------------------------------------------

    def _parse_next(self) -> None:
        self._queued = False
        if self._connection is not None:
            self._parse_slices()

    def _parse_slices(self) -> None:
        """Parse until a frame is complete; the payload of a large one is only collected, all that is there at once."""
        connection = self._connection
        while (
            self.unparsed and connection is not None and connection.accepts_data and not connection.application_is_busy
        ):
            size = max(_SLICE, self._bounds.missing)
            piece, self.unparsed = bytes(self.unparsed[:size]), self.unparsed[size:]
            self._frame_parsed = False
            self._parse(piece)
            if self._frame_parsed:
                break
        if connection is None or not connection.accepts_data or not self.unparsed:
            self.unparsed = _NOTHING  # the end of a piece would keep the whole of it
        self.go_on()
        if connection is not None:
            connection.choose_reading()

    def _parse(self, data: bytes) -> None:
        connection = self._connection
        if connection is None:
            return
        self._bounds.feed(data)
        self._websocket.receive_data(data)
        if self._websocket.parser_exc is not None:
            connection.parser_failed()
            return
        for frame in self._websocket.events_received():
            if isinstance(frame, Frame):
                self._frame_parsed = True
                self._take(connection, frame)
                if not connection.accepts_data:
                    return
        connection.flush()
        self._account()
        self._watch_message()

    # --- Frames ------------------------------------------------------------------------------------------------------

    def _take(self, connection: ReaderOwner, frame: Frame) -> None:
        if frame.opcode is Opcode.PING or frame.opcode is Opcode.PONG:
            if self._too_many_control_frames():
                connection.fail(CloseCode.POLICY_VIOLATION, "too many pings or pongs")
            elif frame.opcode is Opcode.PONG:
                connection.pong_received(bytes(frame.data))
            return
        if frame.opcode is Opcode.CLOSE:
            connection.close_received()
            return
        data = bytes(frame.data)
        frame.data = b""  # the parser keeps its last frame
        if frame.opcode is not Opcode.CONT:
            self._text = frame.opcode is Opcode.TEXT
            self._parts, self._count, self._size = [], 0, 0
        if self._parts is None:
            return
        # Many that carry nothing would cost memory without reaching a size limit.
        self._count += 1
        if self._count > _FRAGMENTS + self._size // _FRAGMENT_SIZE:
            connection.fail(CloseCode.POLICY_VIOLATION, "too many small fragments")
            return
        self._parts.append(data)
        self._size += len(data)
        if frame.fin:
            message = data if self._count == 1 else b"".join(self._parts)
            self._parts, self._size = None, 0
            self._complete(connection, message)

    def _complete(self, connection: ReaderOwner, message: bytes) -> None:
        self._begun = self._loop.time()
        event: dict[str, Any] = {"type": "websocket.receive", "bytes": message}
        if self._text:
            try:
                event = {"type": "websocket.receive", "text": message.decode()}
            except UnicodeDecodeError:
                connection.fail(CloseCode.INVALID_DATA, "a text message must be UTF-8")
                return
        if connection.deliver(event):
            self._taken += len(message)

    def _too_many_control_frames(self) -> bool:
        now = self._loop.time()
        if self._control is None:
            self._control = TokenBucket(_CONTROL_FRAMES, now)
        return self._control.take(_CONTROL_RATE, _CONTROL_FRAMES, now) > 0

    # --- Memory and time -----------------------------------------------------------------------------------------------

    def _account(self) -> None:
        """Account for the unfinished message and those the application has; too much closes with 1013."""
        held = self._bounds.held + self._size + self._taken
        if held < _SMALL:
            held = 0
        connection = self._connection
        if held == self._held or connection is None:
            return
        granted = self._memory.change(held - self._held)
        self._held = held
        if not granted:
            connection.fail(CloseCode.TRY_AGAIN_LATER, "the server holds too many large messages")

    def _watch_message(self) -> None:
        """A message that has begun must end in time."""
        unfinished = bool(self._bounds.held) or self._parts is not None
        if unfinished and self._timer is None and self._connection is not None:
            self._begun = self._loop.time()
            self._timer = self._loop.call_later(seconds_allowed(self._body_seconds, 0), self._message_is_late)
        elif not unfinished and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _message_is_late(self) -> None:
        self._timer = None
        connection = self._connection
        if connection is None:
            return
        now = self._loop.time()
        if connection.application_is_busy or self.unparsed:
            self._begun = now  # it is we who do not read
        left = self._begun + seconds_allowed(self._body_seconds, self._held) - now
        if left > 0.01:
            self._timer = self._loop.call_later(left, self._message_is_late)
        else:
            connection.fail(CloseCode.POLICY_VIOLATION, "the message took too long")
