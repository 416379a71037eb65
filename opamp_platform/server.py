"""The web server with this portal's application and settings."""

from __future__ import annotations

import os

import uvicorn

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opamp_platform.settings")

from django.conf import settings

from opamp_server.options import ServerOptions
from opamp_server.serving import configured, keep_heap_small, stock
from opamp_transport.limits import INBOUND

WORKER = "opamp_platform.server:worker"
_APPLICATION = "opamp_platform.asgi:application"


def configuration(*, host: str, port: int) -> uvicorn.Config:
    """The server's configuration, from settings."""
    options = ServerOptions(
        head_seconds=settings.OPAMP_HEADER_SECONDS,
        body_seconds=settings.OPAMP_BODY_SECONDS,
        ping_seconds=settings.OPAMP_PING_SECONDS,
        pong_seconds=settings.OPAMP_PONG_TIMEOUT_SECONDS,
        max_message_bytes=settings.OPAMP_MAX_MESSAGE_SIZE,
        compression=settings.OPAMP_WEBSOCKET_COMPRESSION,
        memory=INBOUND,
        tls=settings.OPAMP_TLS,
    )
    make = stock if settings.OPAMP_SERVER == "stock" else configured
    return make(_APPLICATION, options, host=host, port=port)


def worker(host: str, port: str) -> uvicorn.Config:
    """What `opamp_server.worker` calls in a process of its own, by the name `WORKER`."""
    settings.SERVED_HOST = host
    keep_heap_small()
    return configuration(host=host, port=int(port))
