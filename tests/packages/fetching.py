"""Requests for files as agents make them, to the real ASGI application."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from asgiref.testing import ApplicationCommunicator

from opamp_platform.asgi import application


@dataclass(frozen=True)
class Fetched:
    """An answer; ``largest`` is of the pieces it came in."""

    status: int
    headers: dict[str, str]
    body: bytes
    largest: int


def scope_of(url: str, headers: dict[str, str], *, method: str = "GET", port: int = 8080) -> dict[str, Any]:
    """What a server gives the application."""
    fields = {"host": "testserver", **headers}
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": urlsplit(url).path,
        "raw_path": urlsplit(url).path.encode(),
        "query_string": urlsplit(url).query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in fields.items()],
        "client": ("10.0.0.1", 40_000),
        "server": ("127.0.0.1", port),
    }


async def fetch(
    url: str, headers: dict[str, str] | None = None, *, method: str = "GET", body: bytes = b"", port: int = 8080
) -> Fetched:
    """One whole exchange."""
    communicator = ApplicationCommunicator(application, scope_of(url, headers or {}, method=method, port=port))
    await communicator.send_input({"type": "http.request", "body": body})
    start = await communicator.receive_output(5)
    pieces = []
    async with asyncio.timeout(20):
        while True:
            message = await communicator.receive_output(5)
            pieces.append(message.get("body", b""))
            if not message.get("more_body"):
                break
    await communicator.wait(5)
    found = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return Fetched(start["status"], found, b"".join(pieces), max(map(len, pieces)))
