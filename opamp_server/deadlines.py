"""What both protocols share: until when a body may be incomplete and a peer may leave unread what waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import struct
import termios

# Not uvicorn's own, so that what single connections do can be logged at another level.
LOGGER = logging.getLogger("opamp_server.connections")

# A refused peer may finish sending before the connection goes, so that it sees the refusal instead of a reset.
LINGER_SECONDS = 2.0
# A peer that takes nothing of what waits for it during this time is cut off.
_WRITE_SECONDS = 20.0
# Taking this much within that time counts as reading.
_LEAST_TAKEN = 64 * 1024
# Of a peer that is to go, so much as one read brings (256 KB) is thrown away each (seconds). The loop would read 32 times in a
# row from one that pours, and be late for everybody.
_DISCARD_SECONDS = 0.02
# A large body has, beside its seconds, the time that this rate needs (bytes per second).
_LEAST_RATE = 32 * 1024


class WriteDeadline:
    """Aborts a connection whose peer does not take what waits for it."""

    __slots__ = ("_loop", "_timer", "_transport", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._loop = loop
        self._transport = transport
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = 0

    def start(self) -> None:
        """The transport's buffer is above its mark: from now on the peer must read."""
        if self._timer is None:
            self._watch()

    def stop(self) -> None:
        """The peer has read, or has gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self) -> None:
        self._waiting = self._not_taken()
        self._timer = self._loop.call_later(_WRITE_SECONDS, self._is_over)

    def _is_over(self) -> None:
        if self._not_taken() + _LEAST_TAKEN <= self._waiting:
            self._watch()
            return
        self._timer = None
        self._transport.abort()

    def _not_taken(self) -> int:
        """Bytes that the peer has not acknowledged: in our buffer, and in the kernel's, which may hold megabytes."""
        waiting = self._transport.get_write_buffer_size()
        peer = self._transport.get_extra_info("socket")
        if peer is not None:
            with contextlib.suppress(OSError):
                (queued,) = struct.unpack("i", fcntl.ioctl(peer.fileno(), termios.TIOCOUTQ, bytes(4)))
                waiting += queued
        return waiting


def seconds_allowed(body_seconds: float, received: int) -> float:
    """How long after its begin a body of which ``received`` bytes are here may still be incomplete."""
    return body_seconds + received / _LEAST_RATE


def discard_slowly(loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
    """Called for data that means nothing any more: the next is read, but not as fast as the peer can send."""
    if not transport.is_closing():
        transport.pause_reading()
        loop.call_later(_DISCARD_SECONDS, _read_on, transport)


def _read_on(transport: asyncio.Transport) -> None:
    if not transport.is_closing():
        transport.resume_reading()
