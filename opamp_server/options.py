"""What a server is given: sizes, times and an account of memory. The environment and its names are its caller's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


class MemoryAccount(Protocol):
    """Bytes that peers make this process keep."""

    def change(self, delta: int) -> bool:
        """Account for ``delta`` bytes more or less; false when that is more than there is room for."""


class Unlimited:
    """An account with room for everything."""

    def change(self, delta: int) -> bool:
        """Always true."""
        return True


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of PEM files: a certificate with its chain, its key, and the authorities whose client certificates are taken.

    ``minimum`` is the oldest version of TLS, ``"1.2"`` or ``"1.3"``.
    """

    certificate: str
    key: str
    minimum: str = "1.2"
    client_authorities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Bounds of one connection; seconds and bytes.

    ``ping_seconds`` is the pause before a ping on an idle WebSocket, ``None`` for no pings; ``pong_seconds`` how long its
    answer may take. ``compression`` offers permessage-deflate (RFC 7692). ``memory`` is shared by all connections. ``tls`` is
    ``None`` for plain connections.
    """

    head_seconds: float = 5.0
    body_seconds: float = 60.0
    ping_seconds: float | None = 30.0
    pong_seconds: float = 20.0
    max_message_bytes: int = 64 * 1024**2
    compression: bool = False
    memory: MemoryAccount = field(default_factory=Unlimited)
    tls: TlsFiles | None = None
