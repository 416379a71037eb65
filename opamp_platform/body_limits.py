"""Bodies of requests to pages and API, bounded while they come in.

Django puts all of a body on the disk before it asks who sends it, and to which page. So what nobody may send is refused here:
anything to speak of to the addresses of packages, which are on the agents' port too, and more than a page or the API reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.conf import settings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_DOWNLOADS = "/packages/"
_UPLOADS = re.compile(
    r"/(?:api/v1/packages/[0-9]+/versions/[0-9]+/files/?|admin/packages/package/[0-9]+/versions/[0-9]+/upload/)"
)
# To addresses that are read alone (bytes).
_TO_READERS = 64 * 1024
# What a form has beside a file.
_BESIDE_A_FILE = 1024 * 1024


def most_bytes(path: str) -> int:
    """How long a body to ``path`` may be. Where the application has a limit of its own, it is below this, and says more."""
    if path.startswith(_DOWNLOADS):
        return _TO_READERS
    if _UPLOADS.fullmatch(path):
        return int(settings.PACKAGE_MAX_SIZE) + _BESIDE_A_FILE
    return 2 * int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)


class BoundedBodies:
    """An ASGI application whose requests end with 413 where their bodies are too long."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """To the application it looks as if the client had left in the middle of its body."""
        most = most_bytes(scope["path"])
        if _declared(scope) > most:
            await _refuse(send)
            return
        received, answered = 0, False

        async def bounded_receive() -> MutableMapping[str, Any]:
            nonlocal received
            message = await receive() if received <= most else {}
            received += len(message.get("body", b""))
            return message if received <= most else {"type": "http.disconnect"}

        async def noted_send(message: MutableMapping[str, Any]) -> None:
            nonlocal answered
            answered = True
            await send(message)

        await self._application(scope, bounded_receive, noted_send)
        if received > most and not answered:
            await _refuse(send)


def _declared(scope: Scope) -> int:
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    return int(lengths[0][:20]) if lengths and lengths[0].isdigit() else 0


async def _refuse(send: Send) -> None:
    said = {
        "type": "about:blank",
        "title": "Content Too Large",
        "status": 413,
        "code": "body-too-large",
        "detail": "The request body is too large.",
        "errors": {},
    }
    body = json.dumps(said).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
