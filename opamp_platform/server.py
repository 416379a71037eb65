"""The server process: uvicorn with the limits this portal needs."""

from __future__ import annotations

import asyncio
import resource
import socket

import uvicorn
from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

GRACEFUL_SECONDS = 8
# HTTP agents poll every 30 s by default: their connection should live to see the next poll.
_KEEP_ALIVE_SECONDS = 75


class PatientHttpProtocol(HttpToolsProtocol):
    """Drops a connection whose request head is not complete in time; uvicorn has no such deadline.

    One timer from the first byte expected to the end of the head, none for each message.
    """

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The clock of the first request starts with the connection."""
        super().connection_made(transport)
        self._start_head_timer()

    def on_message_begin(self) -> None:
        """A further request on a kept connection has begun."""
        super().on_message_begin()
        if self._head_timer is None:
            self._start_head_timer()

    def on_headers_complete(self) -> None:
        """The head is here in time."""
        self._stop_head_timer()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to wait for any more."""
        self._stop_head_timer()
        super().connection_lost(exc)

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(settings.OPAMP_HEADER_SECONDS, self._head_is_late)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()


def configured(*, host: str, port: int, workers: int) -> uvicorn.Config:
    """uvicorn's configuration: sizes and pings from settings, true close codes, an end within 20 s of SIGTERM."""
    return uvicorn.Config(
        "opamp_platform.asgi:application",
        host=host,
        port=port,
        loop="uvloop",
        http=PatientHttpProtocol,
        ws="websockets-sansio",
        ws_max_size=settings.OPAMP_MAX_MESSAGE_SIZE,
        ws_ping_interval=settings.OPAMP_PING_SECONDS,
        ws_ping_timeout=settings.OPAMP_PONG_TIMEOUT_SECONDS,
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=8192,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        workers=workers if workers > 1 else None,
    )


def raise_file_limit() -> None:
    """As many open files as the system allows: each agent is one."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def port_problem(host: str, port: int) -> str | None:
    """Why the port cannot be taken, or ``None``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return f"Port {port} on {host} cannot be used: {error.strerror or error}. Choose another with --port."
    return None
