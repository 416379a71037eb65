"""uvicorn's configuration of a server process, and what a process sets for itself before it serves."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import resource
import socket
from typing import TYPE_CHECKING, cast

import uvicorn

from opamp_server.http_protocol import HttpProtocol
from opamp_server.options import ServerOptions
from opamp_server.websocket_protocol import WebSocketProtocol

if TYPE_CHECKING:
    from opamp_server.tls import LiveContext

# Clients were sent away before; this is for requests under way and for peers that do not answer the close.
GRACEFUL_SECONDS = 5
# ``mallopt`` of glibc: which setting, and what it is set to.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENAS = -1, -3, -8
_LARGE_BLOCK = 128 * 1024
# Clients that poll every 30 s should find their connection still there.
_KEEP_ALIVE_SECONDS = 75


def configured(application: object, options: ServerOptions, *, host: str, port: int) -> uvicorn.Config:
    """uvicorn with the protocols of this package, which keep to ``options``; an end within 20 s of SIGTERM.

    ``application`` is an ASGI application, or where to import it from (``module:name``).
    """
    return uvicorn.Config(
        application,  # type: ignore[arg-type]  # any server's types
        host=host,
        port=port,
        loop="uvloop",
        # uvicorn calls them with what it has to give.
        http=cast("type[asyncio.Protocol]", functools.partial(HttpProtocol, options=options)),
        ws=cast("type[asyncio.Protocol]", functools.partial(WebSocketProtocol, options=options)),
        proxy_headers=False,  # how far those in front are trusted is the application's to say
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=8192,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        ssl_context_factory=_tls(options),
    )


def stock(application: object, options: ServerOptions, *, host: str, port: int) -> uvicorn.Config:
    """uvicorn with its own protocols, for the day on which those of this package do not fit another release of it.

    Of ``options`` it keeps the message size and the pings. Compression is off: uvicorn's keeps memory for each connection.
    """
    return uvicorn.Config(
        application,  # type: ignore[arg-type]
        host=host,
        port=port,
        ws_max_size=options.max_message_bytes,
        ws_ping_interval=options.ping_seconds,
        ws_ping_timeout=options.pong_seconds,
        ws_per_message_deflate=False,
        proxy_headers=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=8192,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        ssl_context_factory=_tls(options),
    )


def _tls(options: ServerOptions) -> LiveContext | None:
    """What makes the context of TLS, ``None`` for none; its library is loaded only where there is one."""
    if options.tls is None:
        return None
    from opamp_server.tls import LiveContext

    return LiveContext(options.tls)


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
