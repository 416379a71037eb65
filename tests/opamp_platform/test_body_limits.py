"""Bodies are bounded before Django stores them, whoever sends them and to whichever page, and long ones are of those who may."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import ApiToken, User
from accounts.services import issue_token
from notifications.hub import stop_hub
from opamp_platform import senders
from opamp_platform.asgi import application
from opamp_platform.body_limits import BoundedBodies, most_bytes
from tests.fake_agent import run
from tests.live_server import LiveServer
from tests.packages.fetching import scope_of

PIECE = b"x" * 16 * 1024


async def pour(
    path: str, *, pieces: int, declared: str = "", port: int = 8080, **more: str
) -> tuple[dict[str, Any], int]:
    """A body that does not end; the answer, and how many pieces of it were taken."""
    headers = {"content-type": "application/json", **({"content-length": declared} if declared else {}), **more}
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


PATHS = ["/admin/login/", "/api/v1/agents", "/nowhere", "/api/v1/packages/1/versions/1/files"]


@pytest.mark.parametrize("path", PATHS)
def test_whoever_says_not_who_they_are_is_asked_after_a_small_piece(path: str) -> None:
    async def body() -> None:
        said, taken = await pour(path, pieces=40)
        assert (said["status"], said["code"], taken) == (401, "not-authenticated", 5)
        said, taken = await pour(path, pieces=2, declared=str(1024**2))
        assert (said["status"], taken) == (401, 0)
        for headers in ({"cookie": "sessionid="}, {"authorization": "Bearer "}, {"authorization": "Basic YTpi"}):
            said, taken = await pour(path, pieces=40, **headers)
            assert (said["status"], taken) == (401, 5), headers

    run(body())


def test_what_is_longer_than_anybody_may_send_is_refused_before_anything_is_asked() -> None:
    async def body() -> None:
        said, taken = await pour("/api/v1/agents", pieces=2, declared=str(1024**3))
        assert (said["status"], taken) == (413, 0)

    run(body())


@pytest.mark.django_db(transaction=True)
class TestWhoeverSaysWhoTheyAre:
    """By a token or a session, which are looked up once, and not before it matters."""

    @pytest.fixture
    def short(self, settings: Any) -> None:
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024

    def status(self, path: str, *, declared: str = "", **headers: str) -> tuple[int, int]:
        async def body() -> tuple[int, int]:
            said, taken = await pour(path, pieces=40, declared=declared, **headers)
            return said["status"], taken

        try:
            return run(body())
        finally:
            run(stop_hub())

    @pytest.mark.parametrize("path", ["/api/v1/agents", "/api/v1/packages/1/versions/1", "/nowhere"])
    def test_may_send_as_much_as_is_read(self, path: str, alice: User, short: None) -> None:
        assert self.status(path, authorization=bearer(alice)) == (413, 9)
        assert self.status(path, cookie=cookie(alice)) == (413, 9)

    def test_who_may_only_look_sends_nothing_long(self, bob: User, short: None) -> None:
        for path in PATHS:
            assert self.status(path, authorization=bearer(bob)) == (403, 5)
            assert self.status(path, cookie=cookie(bob), declared="640000") == (
                (403, 0) if "files" in path else (413, 0)
            )

    def test_files_of_packages_need_the_right_to_them(self, bob: User, short: None) -> None:
        give(bob, "configurations", "change_configuration")
        upload = "/api/v1/packages/1/versions/1/files"
        assert self.status(upload, authorization=bearer(bob), declared=str(1024**2)) == (403, 0)
        assert self.status("/api/v1/configurations", authorization=bearer(bob)) == (413, 9)
        give(bob, "packages", "change_package")
        assert self.status(upload, authorization=bearer(bob), declared=str(3 * 1024**3)) == (413, 0)

    @pytest.mark.parametrize("ended", ["unknown", "revoked", "switched off", "signed out"])
    def test_what_let_somebody_in_once_is_nobodys(self, ended: str, alice: User) -> None:
        token, session = bearer(alice), cookie(alice)
        if ended == "unknown":
            token, session = f"{token[:-4]}0000", "sessionid=abcdefghijklmnopqrstuvwxyz012345"
        elif ended == "switched off":
            User.objects.update(is_active=False)
        else:
            ApiToken.objects.update(revoked_at=timezone.now())
            Session.objects.all().delete()
        assert self.status("/api/v1/agents", authorization=token) == (401, 5)
        assert self.status("/api/v1/agents", cookie=session) == (401, 5)

    def test_a_wrong_token_is_not_mended_by_a_session(self, alice: User) -> None:
        assert self.status("/api/v1/agents", cookie=cookie(alice), authorization="Bearer opamp_a_b") == (401, 5)

    def test_a_database_that_is_away(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        def away(*_: Any, **__: Any) -> None:
            raise OperationalError("gone")

        monkeypatch.setattr(senders, "sender_of", away)
        assert self.status("/api/v1/agents", authorization="Bearer opamp_a_b") == (503, 5)


def bearer(user: User) -> str:
    _row, text = issue_token(user, name="long", by=None)
    return f"Bearer {text}"


def cookie(user: User) -> str:
    client = Client()
    client.force_login(user)
    return f"sessionid={client.cookies['sessionid'].value}"


def give(user: User, app: str, codename: str) -> None:
    user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))


class TestARealServer:
    """Where Django would put long bodies there is no folder while nobody's are sent: writing one would be an answer of 500."""

    @pytest.fixture
    def no_folder(self, shared_portal: LiveServer) -> Iterator[None]:
        folder = shared_portal.data_dir / "uploads"
        folder.rename(folder.with_suffix(".away"))
        folder.touch()
        yield
        folder.unlink()
        folder.with_suffix(".away").rename(folder)

    @pytest.mark.parametrize("chunked", [False, True])
    @pytest.mark.parametrize(
        "path", ["/api/v1/packages/1/versions/1/files", "/admin/packages/package/1/versions/1/upload/"]
    )
    def test_uploads_of_nobody(self, shared_portal: LiveServer, no_folder: None, path: str, chunked: bool) -> None:
        for headers in ({}, {"Authorization": "Bearer opamp_wrong_token"}, {"Cookie": "sessionid=wrong"}):
            assert send_long(shared_portal, path, headers, chunked=chunked) == 401, headers

    @pytest.mark.parametrize("path", ["/admin/login/", "/api/v1/configurations:apply", "/nowhere"])
    def test_other_addresses(self, shared_portal: LiveServer, no_folder: None, path: str) -> None:
        assert send_long(shared_portal, path, {}, chunked=True) == 401
        # So much is refused whoever sends it.
        assert send_long(shared_portal, path, {}, chunked=False) == 413

    @pytest.mark.parametrize("path", ["/v1/metrics", "/v1/opamp"])
    def test_bodies_of_agents_never_come_there(self, shared_portal: LiveServer, no_folder: None, path: str) -> None:
        # Own telemetry is not asked for unless it is set, and no message of an agent is that long.
        assert send_long(shared_portal, path, {"Content-Type": "application/x-protobuf"}, chunked=True) in {
            400,
            404,
            413,
        }

    def test_there_long_bodies_of_others_go(self, shared_portal: LiveServer, no_folder: None) -> None:
        headers = {"Authorization": f"Bearer {shared_portal.token}"}
        assert send_long(shared_portal, "/api/v1/packages/1/versions/1/files", headers, chunked=True) == 500

    def test_whoever_may_uploads(self, shared_portal: LiveServer) -> None:
        package = shared_portal.post("packages", {"name": "long"})["id"]
        number = shared_portal.post(f"packages/{package}/versions", {"version": "1"})["number"]
        headers = {"Authorization": f"Bearer {shared_portal.token}", "Content-Type": "application/octet-stream"}
        path = f"/api/v1/packages/{package}/versions/{number}/files"
        assert send_long(shared_portal, f"{path}?filename=a.bin", headers, chunked=False, method="PUT") == 201


def send_long(server: LiveServer, path: str, headers: dict[str, str], *, chunked: bool, method: str = "POST") -> int:
    """Send 30 MiB unless an answer comes sooner; its status."""
    pieces = [b"x" * 1024**2] * 30
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with contextlib.closing(connection):
        length = {} if chunked else {"Content-Length": str(30 * 1024**2)}
        # The server may read no further; its answer is there.
        with contextlib.suppress(OSError):
            connection.request(method, path, iter(pieces), {**headers, **length}, encode_chunked=chunked)
        return connection.getresponse().status


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
