"""What goes out on one WebSocket: frames of the library, and whether the peer takes them."""

from __future__ import annotations

import asyncio

from websockets.protocol import Protocol

from opamp_server.deadlines import WriteDeadline
from opamp_server.frames import short_frame
from opamp_server.handshake import release_parser
from opamp_server.waiting import WakeFlag


class MessageWriter:
    """One connection's outgoing half. `open` it before anything but `pause`, `resume` and `close` has an effect."""

    __slots__ = ("_deadline", "_loop", "_transport", "_websocket", "writable")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._websocket: Protocol | None = None
        self._deadline: WriteDeadline | None = None
        # Not set while the peer leaves too much unread.
        self.writable = WakeFlag()

    def open(self, websocket: Protocol) -> None:
        """The handshake is over."""
        self._websocket = websocket

    def send(self, data: bytes | None, text: str | None) -> None:
        """A message. Raises `websockets.exceptions.InvalidState` when a Close was sent."""
        if self._websocket is not None:
            if data is not None:
                self._websocket.send_binary(data)
            elif text is not None:
                self._websocket.send_text(text.encode())
            self.flush()

    def send_short(self, message: bytes) -> None:
        """A binary message by the shortest way there is."""
        websocket = self._websocket
        frame = short_frame(message) if websocket is not None and not websocket.extensions else None
        if frame is not None:
            self._transport.write(frame)
        else:
            self.send(message, None)

    def send_ping(self, payload: bytes) -> None:
        """A ping."""
        if self._websocket is not None:
            self._websocket.send_ping(payload)
            self.flush()

    def send_close(self, code: int, reason: str) -> None:
        """A Close. Raises `websockets.exceptions.InvalidState` when one was sent."""
        if self._websocket is not None:
            self._websocket.send_close(code, reason)
            self.flush()

    def fail(self, code: int, reason: str) -> None:
        """Fail the connection (RFC 6455 section 7.1.7): a Close unless one was sent, and the library parses no more."""
        if self._websocket is not None:
            self._websocket.fail(code, reason)
            self.flush()

    def flush(self) -> None:
        """Write what the library wants written."""
        if self._websocket is not None:
            output = b"".join(self._websocket.data_to_send())
            if output:
                self._transport.write(output)

    def pause(self) -> None:
        """The peer does not take what is sent; it must, in time."""
        self.writable.clear()
        if self._deadline is None:
            self._deadline = WriteDeadline(self._loop, self._transport)
        self._deadline.start()

    def resume(self) -> None:
        """The peer has read."""
        self.writable.set()
        if self._deadline is not None:
            self._deadline.stop()

    def close(self) -> None:
        """The connection is lost. No transport says so to who waits for the peer to read: they would wait for ever."""
        self.resume()
        if self._websocket is not None:
            release_parser(self._websocket)
