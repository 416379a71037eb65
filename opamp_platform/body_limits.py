"""Bodies of requests to pages and API, bounded while they come in.

Django puts all of a body on the disk before it asks who sends it, and to which page. So what nobody may send is refused here:
anything to speak of to the addresses of packages, which are on the agents' port too, and more than a page or the API reads.
Of whatever else is long so much is read, and then asked who sends it (`senders`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import DatabaseError

from foundation.clock import clock
from notifications import hub
from opamp_platform import senders
from opamp_transport.admission import header_map, retry_after_seconds

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_DOWNLOADS = "/packages/"
_UPLOADS = re.compile(
    r"/(?:api/v1/packages/[0-9]+/versions/[0-9]+/files/?|admin/packages/package/[0-9]+/versions/[0-9]+/upload/)"
)
_RIGHT_TO_UPLOAD = "packages.change_package"
# What is read of anybody's body, longer than a form to sign in (bytes).
_FROM_ANYBODY = 64 * 1024
# What a form has beside a file.
_BESIDE_A_FILE = 1024 * 1024


def most_bytes(path: str) -> int:
    """How long a body to ``path`` may be. Where the application has a limit of its own, it is below this, and says more."""
    if path.startswith(_DOWNLOADS):
        return _FROM_ANYBODY
    if _UPLOADS.fullmatch(path):
        return int(settings.PACKAGE_MAX_SIZE) + _BESIDE_A_FILE
    return 2 * int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """One answer instead of that of the application."""

    status: int
    title: str
    code: str
    detail: str
    headers: dict[str, str] = field(default_factory=dict)


_TOO_LARGE = _Refusal(413, "Content Too Large", "body-too-large", "The request body is too large.")
_NOBODY = _Refusal(
    401,
    "Unauthorized",
    "not-authenticated",
    "Sign in, or send a valid API token as 'Authorization: Bearer …', before a long request body.",
    {"WWW-Authenticate": 'Bearer realm="api"'},
)
_NO_RIGHT = _Refusal(
    403,
    "Forbidden",
    "permission-denied",
    "You do not have the right to do this. An administrator can give it to you.",
)


class BoundedBodies:
    """An ASGI application whose requests end with 413 where their bodies are too long, and with 401 or 403 where these are long
    and nobody who may send them does.
    """

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """To the application it looks as if the client had left in the middle of its body."""
        most, declared = most_bytes(scope["path"]), _declared(scope)
        refusal = _TOO_LARGE if declared > most else None
        asked = declared > _FROM_ANYBODY
        if refusal is None and asked:
            refusal = await _refusal_of_sender(scope)
        if refusal is not None:
            await _refuse(send, refusal)
            return
        refusals: list[_Refusal] = []
        received, answered = 0, False

        async def bounded_receive() -> MutableMapping[str, Any]:
            nonlocal received, asked
            message: MutableMapping[str, Any] = {} if refusals else await receive()
            received += len(message.get("body", b""))
            if received > most:
                refusals.append(_TOO_LARGE)
            elif received > _FROM_ANYBODY and not asked:
                asked = True
                refusals.extend(filter(None, [await _refusal_of_sender(scope)]))
            return {"type": "http.disconnect"} if refusals else message

        async def noted_send(message: MutableMapping[str, Any]) -> None:
            nonlocal answered
            answered = True
            await send(message)

        await self._application(scope, bounded_receive, noted_send)
        if refusals and not answered:
            await _refuse(send, refusals[0])


def _declared(scope: Scope) -> int:
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    return int(lengths[0][:20]) if lengths and lengths[0].isdigit() else 0


async def _refusal_of_sender(scope: Scope) -> _Refusal | None:
    """Why whoever sends this may not send more of it; ``None`` where they may. Without credentials no row is asked."""
    headers = header_map(scope["headers"])
    if not senders.names_somebody(headers):
        return _NOBODY
    try:
        return await hub.current_hub().threads.run(_judged, headers, scope["path"])
    except DatabaseError:
        seconds = {"Retry-After": str(retry_after_seconds())}
        return _Refusal(503, "Service Unavailable", "database-unreachable", "The database is out of reach.", seconds)


def _judged(headers: Mapping[str, str], path: str) -> _Refusal | None:
    user = senders.sender_of(headers, at=clock.now())
    if user is None:
        return _NOBODY
    right = _RIGHT_TO_UPLOAD if _UPLOADS.fullmatch(path) else ""
    return None if senders.may_send(user, right=right) else _NO_RIGHT


async def _refuse(send: Send, refusal: _Refusal) -> None:
    said = {
        "type": "about:blank",
        "title": refusal.title,
        "status": refusal.status,
        "code": refusal.code,
        "detail": refusal.detail,
        "errors": {},
    }
    body = json.dumps(said).encode()
    fields = {
        "content-type": "application/problem+json",
        "content-length": str(len(body)),
        "connection": "close",
        **refusal.headers,
    }
    headers = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
