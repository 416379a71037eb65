"""The server process: uvicorn with the limits this portal needs."""

from __future__ import annotations

import ctypes
import resource
import socket

import uvicorn
from django.conf import settings

from opamp_platform.peers import PatientHttpProtocol, PatientWebSocketProtocol

# Agents were sent away before; this is for requests under way and for peers that do not answer the close.
GRACEFUL_SECONDS = 5
# ``mallopt`` of glibc: which setting, and what it is set to.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENAS = -1, -3, -8
_LARGE_BLOCK = 128 * 1024
# HTTP agents poll every 30 s by default: their connection should live to see the next poll.
_KEEP_ALIVE_SECONDS = 75


def configured(*, host: str, port: int) -> uvicorn.Config:
    """uvicorn's configuration: sizes and pings from settings, true close codes, an end within 20 s of SIGTERM."""
    return uvicorn.Config(
        "opamp_platform.asgi:application",
        host=host,
        port=port,
        loop="uvloop",
        http=PatientHttpProtocol,
        ws=PatientWebSocketProtocol,
        ws_max_size=settings.OPAMP_MAX_MESSAGE_SIZE,
        ws_ping_interval=settings.OPAMP_PING_SECONDS,
        ws_ping_timeout=settings.OPAMP_PONG_TIMEOUT_SECONDS,
        ws_per_message_deflate=False,  # uvicorn's keeps a context for each connection; `peers` offers one without
        proxy_headers=False,  # `admission` trusts as many proxies as the operator says, not whoever is on loopback
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=8192,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )


def keep_heap_small() -> None:
    """One heap for all threads, and large blocks beside it, so that what a burst took goes back to the system.

    glibc would give each thread a heap of its own, and keep ever larger blocks in them: pieces of memory that nobody uses,
    several MiB in each process. Only one thread at a time allocates anyway. Other C libraries have other habits.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENAS, 1)
        mallopt(_MMAP_THRESHOLD, _LARGE_BLOCK)
        mallopt(_TRIM_THRESHOLD, _LARGE_BLOCK)


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
