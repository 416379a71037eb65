"""The consumer for open pages and programs: ``/ws/notifications``. It judges who comes, reads subscriptions, and writes hints.

No ORM here. As the consumers of agents it overrides ``__call__``: a socket at rest costs two waiting tasks.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from typing import Any

from channels.consumer import AsyncConsumer
from django.conf import settings
from django.db import DatabaseError
from django.http import parse_cookie

from foundation.clock import clock
from foundation.topics import registered_topics
from notifications import hub, live_messages, people
from notifications.hub import Hub
from notifications.listeners import Listener
from notifications.metrics import HINTS, REFUSED
from notifications.pace import PACE
from notifications.people import Person
from opamp_server.rates import TokenBucket
from opamp_transport.admission import Refusal, header_map, retry_after_seconds
from opamp_transport.message_io import Receive, Scope, Send, peer_of
from opamp_transport.web_pages import portals_page_problem

# Messages of one socket: so many at once, then so many a second.
_MESSAGES, _MESSAGE_RATE = 20.0, 2.0
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="api"'}


class NotificationsConsumer(AsyncConsumer):  # type: ignore[misc]
    """One socket."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge, accept, tell and listen until the peer goes or is sent away."""
        here = hub.current_hub()
        await receive()  # websocket.connect
        headers = header_map(scope["headers"])
        verdict = await _admit(here, scope, headers)
        if isinstance(verdict, Refusal):
            REFUSED.labels(str(verdict.status)).inc()
            await _refuse_upgrade(scope, send, verdict)
            return
        listener = here.add(verdict)
        try:
            await send({"type": "websocket.accept"})
            await _converse(here, listener, receive, send)
        finally:
            here.remove(listener)


async def _admit(here: Hub, scope: Scope, headers: Mapping[str, str]) -> Person | Refusal:
    problem = portals_page_problem(scope, headers)
    if problem is not None:
        return Refusal(403, "foreign origin", problem)
    wait = here.handshakes.take(peer_of(scope), time.monotonic())
    if wait:
        return _later(429, "Too many connections from this address.", math.ceil(wait))
    if here.leaving or not here.has_room():
        return _later(503, "The server has no room for another listener. See LIVE_SOCKETS.", retry_after_seconds())
    try:
        person = await _identify(here, headers)
    except DatabaseError:
        return _later(503, "The database is out of reach.", retry_after_seconds())
    if isinstance(person, Refusal):
        return person
    # Others may have come meanwhile.
    if not here.has_room_for(person) or not here.has_room():
        text = f"{settings.LIVE_SOCKETS_PER_PERSON} connections are open already. See LIVE_SOCKETS_PER_PERSON."
        return _later(429, text, retry_after_seconds())
    return person


async def _identify(here: Hub, headers: Mapping[str, str]) -> Person | Refusal:
    """Whoever an API token or, of a page, a session names. What stands in the address counts nothing: it is logged on its way."""
    scheme, _, text = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        person = await here.threads.run(people.by_token, text.strip(), at=clock.now())
    elif "origin" in headers:
        key = parse_cookie(headers.get("cookie", "")).get(settings.SESSION_COOKIE_NAME, "")
        person = await here.threads.run(people.by_session, key, at=clock.now())
    else:
        # A browser always says which page it is; whoever does not, and has a cookie, may be led here by a page of others.
        person = None
    if person is None:
        return Refusal(401, "unauthorized", "Sign in, or send an API token as 'Authorization: Bearer …'.", _CHALLENGE)
    if not person.topics:
        return Refusal(403, "no right", "None of the topics is for this person.")
    return person


def _later(status: int, text: str, seconds: int) -> Refusal:
    return Refusal(status, "later", text, {"Retry-After": str(seconds)})


async def _converse(here: Hub, listener: Listener, receive: Receive, send: Send) -> None:
    """Read and write side by side; whichever ends ends the other."""
    loop = asyncio.get_running_loop()
    both = {loop.create_task(_read(here, listener, receive, send)), loop.create_task(_write(here, listener, send))}
    try:
        done, _pending = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            error = task.exception()
            # What the server raises for a send after the peer has gone.
            if error is not None and not isinstance(error, OSError | RuntimeError):
                raise error
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)


async def _read(here: Hub, listener: Listener, receive: Receive, send: Send) -> None:
    """Subscriptions, until the peer goes."""
    bucket = TokenBucket(_MESSAGES, time.monotonic())
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect" or listener.closing is not None:
            return
        if bucket.take(_MESSAGE_RATE, _MESSAGES, time.monotonic()):
            await _close(send, live_messages.POLICY, "too many messages")
            return
        text = event.get("text")
        if len(text or event.get("bytes") or "") > live_messages.LONGEST_MESSAGE:
            await _close(send, live_messages.TOO_BIG, "the message is too large")
            return
        await send({"type": "websocket.send", "text": _answer(here, listener, text)})


def _answer(here: Hub, listener: Listener, text: str | None) -> str:
    try:
        wanted, unknown = live_messages.parse_subscriptions(text, registered_topics())
    except live_messages.StrangeMessage as error:
        return live_messages.error_text(str(error))
    accepted, refused = here.subscribe(listener, wanted)
    return live_messages.subscribed_text(
        accepted, [*unknown, *refused], pace=PACE.seconds(len(here.listeners), time.monotonic())
    )


async def _write(here: Hub, listener: Listener, send: Send) -> None:
    """What the hub has for this socket, until it says that the socket is to be closed."""
    while True:
        await listener.wake.wait()
        listener.wake.clear()
        if listener.closing is not None:
            await _close(send, *listener.closing)
            return
        hints = listener.take()
        if hints:
            HINTS.inc()
            text = live_messages.changes_text(
                hints, clock.now(), pace=PACE.seconds(len(here.listeners), time.monotonic())
            )
            await send({"type": "websocket.send", "text": text})


async def _close(send: Send, code: int, reason: str) -> None:
    await send({"type": "websocket.close", "code": code, "reason": reason})


async def _refuse_upgrade(scope: Scope, send: Send, refusal: Refusal) -> None:
    """A true HTTP answer instead of the upgrade where the server can give one; else a refused handshake (403)."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": live_messages.POLICY})
        return
    fields: dict[str, Any] = {"content-type": "text/plain; charset=utf-8", **refusal.headers}
    headers = [(name.lower().encode(), str(value).encode()) for name, value in fields.items()]
    await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": refusal.text.encode()})
