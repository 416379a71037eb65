"""What WebSocket frames look like (RFC 6455), as far as our protocol looks at them itself."""

from __future__ import annotations

from collections.abc import Generator

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.speedups import apply_mask
from websockets.streams import StreamReader

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


class FrameReader(StreamReader):
    """Knows where the parser is: between two frames, where alone it asks for the end of the stream, or how far in one."""

    between_frames = False
    _wanted = 0

    @property
    def missing(self) -> int:
        """Bytes that the parser needs before it can go on; 0 or less when it can."""
        return 0 if self.between_frames else self._wanted - len(self.buffer)

    def read_exact(self, n: int) -> Generator[None, None, bytearray]:
        """As the library's."""
        self._wanted = n
        return super().read_exact(n)

    def at_eof(self) -> Generator[None, None, bool]:
        """As the library's."""
        self.between_frames = True
        ended = yield from super().at_eof()
        self.between_frames = False
        return ended


# permessage-deflate: no context means no memory kept, and both parameters are named, or clients built on gorilla/websocket give
# up (S-13).
DEFLATE = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    server_max_window_bits=12,
    client_max_window_bits=12,
    compress_settings={"memLevel": 5},
)
