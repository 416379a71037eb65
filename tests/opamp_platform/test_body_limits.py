"""Bodies are bounded before Django stores them, whoever sends them and to whichever page."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.urls import reverse

from opamp_platform.asgi import application
from opamp_platform.body_limits import BoundedBodies, most_bytes
from tests.fake_agent import run
from tests.packages.fetching import scope_of

PIECE = b"x" * 16 * 1024


async def pour(path: str, *, pieces: int, declared: str = "", port: int = 8080) -> tuple[dict[str, Any], int]:
    """A body that does not end; the answer, and how many pieces of it were taken."""
    headers = {"content-type": "application/json", **({"content-length": declared} if declared else {})}
    communicator = ApplicationCommunicator(
        application, scope_of(f"http://testserver{path}", headers, method="POST", port=port)
    )
    taken = 0
    for _number in range(pieces):
        await communicator.send_input({"type": "http.request", "body": PIECE, "more_body": True})
    start = await communicator.receive_output(5)
    body = await communicator.receive_output(5)
    taken = pieces - communicator.input_queue.qsize()
    await communicator.wait(5)
    return {"status": start["status"], **json.loads(body["body"])}, taken


@pytest.mark.parametrize("port", [8080, 4320])
def test_addresses_of_packages_are_read_alone(port: int, settings: Any) -> None:
    """On the agents' port too, which is open to more networks than the portal."""
    settings.OPAMP_PORT = 4320

    async def body() -> None:
        said, taken = await pour("/packages/1.a.b/x", pieces=40, port=port)
        assert (said["status"], said["code"]) == (413, "body-too-large")
        assert taken == 5
        said, taken = await pour("/packages/1.a.b/x", pieces=2, declared="9" * 30, port=port)
        assert (said["status"], taken) == (413, 0)

    run(body())


@pytest.mark.parametrize("path", ["/admin/login/", "/api/v1/agents", "/nowhere", "/api/v1/packages/1/versions/1"])
def test_pages_and_api(path: str, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024

    async def body() -> None:
        said, taken = await pour(path, pieces=40)
        assert (said["status"], taken) == (413, 9)

    run(body())


def test_uploads_may_be_as_long_as_packages(settings: Any) -> None:
    uploads = [
        "/api/v1/packages/1/versions/2/files",
        "/api/v1/packages/1/versions/2/files/",
        reverse("admin:package_upload", args=[1, 2]),
    ]
    assert {most_bytes(path) - 1024**2 for path in uploads} == {settings.PACKAGE_MAX_SIZE}
    for path in ("/api/v1/packages/1/versions/2/files/3", "/admin/packages/package/1/versions/2/release/"):
        assert most_bytes(path) == 2 * settings.DATA_UPLOAD_MAX_MEMORY_SIZE


def test_nothing_of_it_stays_on_the_disk(settings: Any, tmp_path: Path) -> None:
    settings.FILE_UPLOAD_TEMP_DIR, settings.FILE_UPLOAD_MAX_MEMORY_SIZE = tmp_path, 1

    async def body() -> None:
        await pour("/packages/1.a.b/x", pieces=40)

    run(body())
    assert not list(tmp_path.iterdir())


def test_an_application_that_answered_before_is_left_alone() -> None:
    """And one that reads on after the end is told once more that nobody is there."""
    sent: list[dict[str, Any]] = []
    kinds: list[str] = []

    async def early(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        kinds.extend([(await receive())["type"] for _number in range(8)])
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": PIECE, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(BoundedBodies(early)(scope_of("http://h/packages/a/b", {}), receive, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert kinds == ["http.request"] * 4 + ["http.disconnect"] * 4
