"""What WebSocket frames look like (RFC 6455), as far as this server looks at them itself."""

from __future__ import annotations

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.speedups import apply_mask

# A binary message in one frame; this bit says that a mask follows; up to this size the length has one byte (section 5.2).
_WHOLE_BINARY, _MASKED, _SHORT = 0x82, 0x80, 125
_HEAD_AND_MASK = 6


def short_message(data: bytes) -> bytes | None:
    """The message, when ``data`` is one that came whole in one short frame and nothing else; else ``None``."""
    size = len(data) - _HEAD_AND_MASK
    if not (0 <= size <= _SHORT and data[0] == _WHOLE_BINARY and data[1] == _MASKED | size):
        return None
    return apply_mask(data[_HEAD_AND_MASK:], data[2:_HEAD_AND_MASK])


def short_frame(message: bytes) -> bytes | None:
    """The server's frame of a short message; ``None`` for a longer one."""
    return bytes((_WHOLE_BINARY, len(message))) + message if len(message) <= _SHORT else None


class FrameBounds:
    """Follows a peer's frames through the bytes it sends: between two of them, or how far in one."""

    __slots__ = ("_head", "held", "missing")

    def __init__(self) -> None:
        # The begin of a frame whose size cannot be told yet.
        self._head = b""
        # Bytes of a frame that has begun: those that are here, and those that must come still, as far as that is known.
        self.held = self.missing = 0

    @property
    def between_frames(self) -> bool:
        """True when nothing of a frame is here."""
        return not self.held

    def feed(self, data: bytes) -> None:
        """Go on by what has come."""
        if self.missing > len(data):
            self.missing -= len(data)
            self.held += len(data)
            return
        if self._head:
            data, self._head = self._head + data, b""
        at, end, begin = self.missing, len(data), 0
        self.held = self.missing = 0
        while at < end:
            begin = at
            size = _frame_size(data, at)
            if size is None:
                self._head = data[begin:]
                self.held = end - begin
                return
            at += size
        if at > end:
            self.held, self.missing = end - begin, at - end


def _frame_size(data: bytes, at: int) -> int | None:
    """Bytes of the frame that begins there, ``None`` when too little of its head is here (RFC 6455 section 5.2)."""
    if len(data) < at + 2:
        return None
    second = data[at + 1]
    size, head = second & ~_MASKED, at + 2
    if size > _SHORT:
        width = 2 if size == _SHORT + 1 else 8
        if len(data) < head + width:
            return None
        size = int.from_bytes(data[head : head + width], "big")
        head += width
    return head - at + size + (4 if second & _MASKED else 0)


# permessage-deflate: no context means no memory kept, and both parameters are named, or clients built on gorilla/websocket give
# up (S-13).
DEFLATE = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    server_max_window_bits=12,
    client_max_window_bits=12,
    compress_settings={"memLevel": 5},
)
