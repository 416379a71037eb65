"""WebSocket frames by hand over a plain socket, for peers that no library would let us be. Knows RFC 6455, not OpAMP."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FIN = 0x80
TIMEOUT = 15.0


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    masked: bool = True,
    length_bytes: int | None = None,
    declared: int | None = None,
    mask: bytes = b"\x11\x22\x33\x44",
) -> bytes:
    """One frame as a client sends it. ``length_bytes`` (0, 2, 8) and ``declared`` override how long it says it is."""
    size = len(payload) if declared is None else declared
    if length_bytes is None:
        length_bytes = 0 if size < 126 else 2 if size < 65536 else 8
    second = (0x80 if masked else 0) | {0: size, 2: 126, 8: 127}[length_bytes]
    head = bytes([(FIN if fin else 0) | reserved << 4 | opcode, second])
    head += {0: b"", 2: struct.pack("!H", size) if length_bytes == 2 else b"", 8: struct.pack("!Q", size)}[length_bytes]
    if not masked:
        return head + payload
    whole = mask * (len(payload) // 4 + 1)
    number = int.from_bytes(payload, "big") ^ int.from_bytes(whole[: len(payload)], "big")
    return head + mask + number.to_bytes(len(payload), "big")


def close_payload(code: int, reason: bytes = b"") -> bytes:
    """The body of a Close frame."""
    return struct.pack("!H", code) + reason


class Frame(NamedTuple):
    """A frame of the server."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """The code of a Close frame; 1005 when it has none."""
        return struct.unpack("!H", self.payload[:2])[0] if len(self.payload) >= 2 else 1005


class RawSocket:
    """One TCP connection to the server. Every read ends within `TIMEOUT` seconds or fails."""

    def __init__(self, port: int, *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(("127.0.0.1", port))
        self.received = b""
        self.head = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send all of it; a server that has closed meanwhile is no error."""
        try:
            self.socket.sendall(data)
        except (ConnectionError, TimeoutError):
            return

    def upgrade(self, *lines: str, path: str = "/v1/opamp") -> Self:
        """The opening handshake, which must succeed; ``lines`` are further header lines."""
        key = "MDEyMzQ1Njc4OTAxMjM0NQ=="
        request = [
            f"GET {path} HTTP/1.1", "Host: portal", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", *lines, "", "",
        ]  # fmt: skip
        self.send("\r\n".join(request).encode())
        self.head = self.read_head()
        assert self.head.startswith(b"HTTP/1.1 101 "), self.head
        return self

    def read_head(self) -> bytes:
        """The head of an HTTP answer."""
        while b"\r\n\r\n" not in self.received:
            self._more()
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        return head

    def read_frame(self) -> Frame | None:
        """The next frame; ``None`` when the server has closed the connection."""
        try:
            first, second = self._take(2)
            size = second & 0x7F
            assert not second & 0x80, "a server must not mask (RFC 6455 section 5.1)"
            assert not first & 0x70, "reserved bits without an extension (section 5.2)"
            if size == 126:
                (size,) = struct.unpack("!H", self._take(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", self._take(8))
            return Frame(first & 0x0F, self._take(size))
        except (EOFError, ConnectionError):
            return None

    def read_frames(self, count: int) -> list[Frame]:
        """The next ``count`` frames, or fewer when the connection ends before."""
        found: list[Frame] = []
        while len(found) < count and (one := self.read_frame()) is not None:
            found.append(one)
        return found

    def frames(self) -> list[Frame]:
        """All frames until the connection ends; a Close is answered with one (RFC 6455 section 5.5.1)."""
        found = []
        while (one := self.read_frame()) is not None:
            found.append(one)
            if one.opcode == CLOSE:
                self.send(frame(CLOSE, one.payload))
        return found

    def read_all(self) -> bytes:
        """Everything until the connection ends."""
        try:
            while True:
                self._more()
        except (EOFError, ConnectionError):
            return self.received

    def finish_writing(self) -> None:
        """Half-close: nothing more comes from here."""
        self.socket.shutdown(socket.SHUT_WR)

    def _take(self, count: int) -> bytes:
        while len(self.received) < count:
            self._more()
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    def _more(self) -> None:
        chunk = self.socket.recv(65536)
        if not chunk:
            raise EOFError
        self.received += chunk


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM now (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
