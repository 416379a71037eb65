"""The ASGI application: both protocols of ``/v1/opamp`` and ``/v1/metrics`` go to the agents' consumers, ``/ws/notifications`` to
that of open pages, the rest to Django.

The entry points are chosen by path before Django sees anything: its middleware would cost an agent more than its message.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opamp_platform.settings")

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import URLPattern, re_path

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# Django must be set up before anything of the project that has models is imported.
django_application = get_asgi_application()

from notifications import hub  # noqa: E402
from notifications.consumer import NotificationsConsumer  # noqa: E402
from opamp_platform.body_limits import BoundedBodies  # noqa: E402
from opamp_server.draining import Draining  # noqa: E402
from opamp_transport import runtime  # noqa: E402
from opamp_transport.consumers import HttpConsumer, OwnTelemetryConsumer, WebSocketConsumer  # noqa: E402

OPAMP_PATH = r"^v1/opamp/?$"
METRICS_PATH = r"^v1/metrics/?$"
PACKAGES_PATH = r"^packages/"
NOTIFICATIONS_PATH = r"^ws/notifications/?$"


class _Lifespan:
    """Starts the process's runtime with the server and stops it in order, after the connections are closed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                # Django asks its setting for files of forms alone, and puts whole bodies where the system has its own.
                tempfile.tempdir = str(settings.FILE_UPLOAD_TEMP_DIR)
                here, pages = runtime.current(), hub.current_hub()
                Draining(
                    drain=_both(pages.leave, here.send_away), hand_over=_both(pages.leave, here.hand_over)
                ).install()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await hub.stop_hub()
                await runtime.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _both(*ways_to_go: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """All of them at once."""

    async def go() -> None:
        await asyncio.gather(*(way() for way in ways_to_go))

    return go


async def _no_such_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """A WebSocket on a path that has none: refused before the upgrade."""
    await receive()
    await send({"type": "websocket.close", "code": 1000})


class _Ports:
    """On the agents' own port are their path and their packages alone, so that it can be opened to networks the portal is not."""

    def __init__(self, *, everything: Any, agents_only: Any) -> None:
        self._everything = everything
        self._agents_only = agents_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        server = scope.get("server")
        agents_only = server is not None and server[1] == settings.OPAMP_PORT
        await (self._agents_only if agents_only else self._everything)(scope, receive, send)


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    """What the agents' port says of any other path."""
    text = b"Agents connect to /v1/opamp on this port; the portal is on another one."
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def _route(pattern: str, application: Any) -> URLPattern:
    """Channels routes ASGI applications with Django's patterns, whose types know views only."""
    route: URLPattern = re_path(pattern, application)
    return route


_entry_points = {"http": HttpConsumer.as_asgi(), "websocket": WebSocketConsumer.as_asgi()}
_pages = BoundedBodies(django_application)
_of_agents = [_route(OPAMP_PATH, _entry_points["http"]), _route(METRICS_PATH, OwnTelemetryConsumer.as_asgi())]
application = _Ports(
    everything=ProtocolTypeRouter(
        {
            "http": URLRouter([*_of_agents, _route(r"", _pages)]),
            "websocket": URLRouter(
                [
                    _route(OPAMP_PATH, _entry_points["websocket"]),
                    _route(NOTIFICATIONS_PATH, NotificationsConsumer.as_asgi()),
                    _route(r"", _no_such_websocket),
                ]
            ),
            "lifespan": _Lifespan(),
        }
    ),
    agents_only=ProtocolTypeRouter(
        {
            "http": URLRouter([*_of_agents, _route(PACKAGES_PATH, _pages), _route(r"", _nothing_here)]),
            "websocket": URLRouter([_route(OPAMP_PATH, _entry_points["websocket"]), _route(r"", _no_such_websocket)]),
        }
    ),
)
