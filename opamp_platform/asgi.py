"""The ASGI application: both protocols of ``/v1/opamp`` go to the agents' doors, everything else to Django.

The doors are chosen by path before Django sees anything: its middleware would cost an agent more than its message.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opamp_platform.settings")

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import URLPattern, re_path

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# Django must be set up before anything of the project that has models is imported.
django_application = get_asgi_application()

from opamp_transport import runtime  # noqa: E402
from opamp_transport.consumers import HttpDoor, WebSocketDoor  # noqa: E402

OPAMP_PATH = r"^v1/opamp/?$"


class _Lifespan:
    """Starts the process's runtime with the server and stops it in order, after the connections are closed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                runtime.current()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await runtime.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


async def _no_such_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """A WebSocket on a path that has none: refused before the upgrade."""
    await receive()
    await send({"type": "websocket.close", "code": 1000})


def _route(pattern: str, application: Any) -> URLPattern:
    """Channels routes ASGI applications with Django's patterns, whose types know views only."""
    route: URLPattern = re_path(pattern, application)
    return route


application = ProtocolTypeRouter(
    {
        "http": URLRouter([_route(OPAMP_PATH, HttpDoor.as_asgi()), _route(r"", django_application)]),
        "websocket": URLRouter([_route(OPAMP_PATH, WebSocketDoor.as_asgi()), _route(r"", _no_such_websocket)]),
        "lifespan": _Lifespan(),
    }
)
