"""What both protocols share: until when a body may be incomplete and a peer may leave unread what waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import struct
import termios

from django.conf import settings

# Not uvicorn's own: what single connections do must not fill the log (see `opamp_platform.operations.logs`).
LOGGER = logging.getLogger("opamp_platform.connections")

# A refused peer may finish sending before the connection goes, so that it sees the refusal instead of a reset.
LINGER_SECONDS = 2.0
# A peer that takes nothing of what waits for it during this time is cut off.
_WRITE_SECONDS = 20.0
# Taking this much within that time counts as reading.
_LEAST_TAKEN = 64 * 1024
# Beside `OPAMP_BODY_SECONDS` a large body has the time that this rate needs (bytes per second).
_LEAST_RATE = 32 * 1024


class ReadsInTime(asyncio.Protocol):
    """Cuts off a peer that does not take what we send; both protocols share it."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    _write_timer: asyncio.TimerHandle | None = None
    _waiting = 0

    def pause_writing(self) -> None:
        """The buffer is above its mark: from now on the peer must read."""
        super().pause_writing()
        if self._write_timer is None:
            self._watch_reader()

    def resume_writing(self) -> None:
        """The peer has read."""
        super().resume_writing()
        self._stop_watching_reader()

    def _watch_reader(self) -> None:
        self._waiting = self._not_taken()
        self._write_timer = self.loop.call_later(_WRITE_SECONDS, self._reader_is_late)

    def _reader_is_late(self) -> None:
        if self._not_taken() + _LEAST_TAKEN <= self._waiting:
            self._watch_reader()
            return
        self._write_timer = None
        self.transport.abort()

    def _not_taken(self) -> int:
        """Bytes that the peer has not acknowledged: in our buffer, and in the kernel's, which may hold megabytes."""
        waiting = self.transport.get_write_buffer_size()
        peer = self.transport.get_extra_info("socket")
        if peer is not None:
            with contextlib.suppress(OSError):
                (queued,) = struct.unpack("i", fcntl.ioctl(peer.fileno(), termios.TIOCOUTQ, bytes(4)))
                waiting += queued
        return waiting

    def _stop_watching_reader(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


def seconds_allowed(received: int) -> float:
    """How long after its begin a body of which ``received`` bytes are here may still be incomplete."""
    return float(settings.OPAMP_BODY_SECONDS) + received / _LEAST_RATE
