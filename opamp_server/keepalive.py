"""Pings on a WebSocket (RFC 6455 section 5.5.2): a peer that has gone without a word is noticed."""

from __future__ import annotations

import asyncio
import os
from typing import Protocol


class PingedConnection(Protocol):
    """What pings go out on."""

    def send_ping(self, payload: bytes) -> bool:
        """Send a ping; false when there is nobody to send it to any more."""

    def pong_is_late(self) -> None:
        """The last ping was not answered in time."""


class Keepalive:
    """A ping ``ping_seconds`` after the answer to the one before, which may take ``pong_seconds``. Begins at once."""

    __slots__ = ("_connection", "_loop", "_payload", "_ping_seconds", "_pong_seconds", "_sent_at", "_timer")

    def __init__(
        self, connection: PingedConnection, ping_seconds: float, pong_seconds: float, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._connection = connection
        self._ping_seconds = ping_seconds
        self._pong_seconds = pong_seconds
        self._loop = loop
        self._payload = b""
        self._sent_at = 0.0
        self._timer = loop.call_later(ping_seconds, self._send)

    def pong_received(self, payload: bytes) -> None:
        """Counts when it answers the last ping."""
        if self._payload and payload == self._payload:
            self._payload = b""
            self._timer.cancel()
            self._timer = self._loop.call_later(
                max(0.0, self._sent_at + self._ping_seconds - self._loop.time()), self._send
            )

    def stop(self) -> None:
        """No more pings."""
        self._timer.cancel()

    def _send(self) -> None:
        # Unpredictable, or a peer could answer before it was asked.
        payload = os.urandom(4)
        if self._connection.send_ping(payload):
            self._payload, self._sent_at = payload, self._loop.time()
            self._timer = self._loop.call_later(self._pong_seconds, self._is_late)

    def _is_late(self) -> None:
        self._connection.pong_is_late()
