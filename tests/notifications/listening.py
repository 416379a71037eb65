"""A page or program that listens over the real ASGI application, and a way to run a test around it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client

from accounts.models import User
from notifications import hub
from opamp_platform.asgi import application
from tests.fake_agent import run as run_with_agents

T = TypeVar("T")
PATH = "/ws/notifications"
HOST = "127.0.0.1:8080"
ORIGIN = f"http://{HOST}"
PATIENCE = 5.0


def run(test: Coroutine[Any, Any, T]) -> T:
    """Run an async test body; the process's hub and runtime end with it."""

    async def whole() -> T:
        try:
            return await test
        finally:
            await hub.stop_hub()

    return run_with_agents(whole())


def in_thread(function: Callable[..., T], *args: Any, **kwargs: Any) -> Awaitable[T]:
    """Call what asks the database."""
    awaited: Awaitable[T] = sync_to_async(function)(*args, **kwargs)
    return awaited


def session_of(person: User) -> str:
    """The key of a session that ``person`` has opened."""
    store = SessionStore()
    store[SESSION_KEY] = str(person.pk)
    store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    store[HASH_SESSION_KEY] = person.get_session_auth_hash()
    store.save()
    return str(store.session_key)


def of_page(session: str, origin: str = ORIGIN) -> dict[str, str]:
    """Headers as a browser sends them."""
    return {"cookie": f"{settings.SESSION_COOKIE_NAME}={session}", "origin": origin}


def of_program(token: str) -> dict[str, str]:
    """Headers as a program sends them."""
    return {"authorization": f"Bearer {token}"}


def signed_out(session: str) -> None:
    """As the page that signs out does it."""
    client = Client()
    client.cookies[settings.SESSION_COOKIE_NAME] = session
    assert client.post("/admin/logout/").status_code == 200


class Socket:
    """One socket: ``async with Socket(headers) as socket``; ``status`` is 101, or that of the refusal."""

    def __init__(self, headers: dict[str, str], *, path: str = PATH) -> None:
        raw = [(name.encode(), value.encode()) for name, value in {"host": HOST, **headers}.items()]
        self.communicator = WebsocketCommunicator(application, path, headers=raw)
        self.communicator.scope["extensions"] = {"websocket.http.response": {}}
        self.communicator.scope["client"] = ["127.0.0.1", 4711]
        self.status = 0
        self.headers: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        await self.communicator.send_input({"type": "websocket.connect"})
        answer = await self.communicator.receive_output(PATIENCE)
        if answer["type"] == "websocket.http.response.start":
            self.status = answer["status"]
            self.headers = {name.decode(): value.decode() for name, value in answer["headers"]}
        else:
            assert answer["type"] == "websocket.accept", answer
            self.status = 101
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.communicator.future.done():
            await self.communicator.send_input({"type": "websocket.disconnect", "code": 1000})
            await self.communicator.wait(PATIENCE)

    async def send(self, message: object) -> None:
        """One message, as JSON unless it is a text."""
        text = message if isinstance(message, str) else json.dumps(message)
        await self.communicator.send_input({"type": "websocket.receive", "text": text})

    async def heard(self) -> Any:
        """The next message; fails when none comes in time."""
        event = await self.communicator.receive_output(PATIENCE)
        assert event["type"] == "websocket.send", event
        return json.loads(event["text"])

    async def subscribe(self, *topics: str) -> Any:
        """The answer to a subscription."""
        await self.send({"subscribe": list(topics)})
        return await self.heard()

    async def closed(self) -> int:
        """The code of the Close that comes next."""
        event = await self.communicator.receive_output(PATIENCE)
        assert event["type"] == "websocket.close", event
        return int(event["code"])

    async def is_silent(self) -> bool:
        """Whether nothing waits to be read, after the loop has done what it had to do."""
        for _ in range(20):
            await asyncio.sleep(0)
        return bool(await self.communicator.receive_nothing(0.02))
