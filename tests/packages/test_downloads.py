"""Files as they are handed out: ranges, tags, addresses that are not ours, and the loop that goes on meanwhile."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator

from opamp_platform.asgi import application
from packages.download_urls import download_url
from packages.models import Artefact
from packages.services import store
from tests.fake_agent import run
from tests.packages.conftest import CONTENT
from tests.packages.fetching import fetch, scope_of

pytestmark = pytest.mark.django_db(transaction=True)
SIZE = len(CONTENT)


@pytest.fixture
def artefact(make) -> Artefact:
    return make().artefacts.get()


@pytest.fixture
def url(artefact) -> str:
    return download_url(artefact, reached_at="")


@pytest.mark.parametrize(
    ("wanted", "status", "body"),
    [
        (None, 200, CONTENT),
        ("bytes=0-0", 206, CONTENT[:1]),
        ("bytes=10-", 206, CONTENT[10:]),
        (f"bytes=10-{SIZE * 2}", 206, CONTENT[10:]),
        ("bytes=-7", 206, CONTENT[-7:]),
        (f"bytes=-{SIZE * 2}", 206, CONTENT),
        (f"bytes={SIZE}-", 416, b""),
        ("bytes=-0", 416, b""),
        ("bytes=9-3", 200, CONTENT),
        ("bytes=0-1,4-5", 200, CONTENT),
        ("bytes=-", 200, CONTENT),
        ("lines=1-2", 200, CONTENT),
        ("bytes=99999999999999999999-", 200, CONTENT),
    ],
)
@pytest.mark.rule("S-92")
def test_ranges(url, wanted, status, body):
    found = run(fetch(url, {"Range": wanted} if wanted else {}))
    assert (found.status, found.body) == (status, body)
    assert found.headers["accept-ranges"] == "bytes"
    if status == 206:
        assert found.headers["content-range"].endswith(f"/{SIZE}")
        assert found.headers["content-length"] == str(len(body))
    if status == 416:
        assert found.headers["content-range"] == f"bytes */{SIZE}"


def test_a_range_of_another_file_is_the_whole_one(url, artefact):
    etag = f'"{artefact.sha256}"'

    async def body() -> None:
        same = await fetch(url, {"Range": "bytes=0-4", "If-Range": etag})
        assert (same.status, same.headers["etag"]) == (206, etag)
        assert (await fetch(url, {"Range": "bytes=0-4", "If-Range": '"other"'})).status == 200
        kept = await fetch(url, {"If-None-Match": etag})
        assert (kept.status, kept.body) == (304, b"")

    run(body())


def test_head_says_what_get_would(url):
    found = run(fetch(url, method="HEAD"))
    assert (found.status, found.body, found.headers["content-length"]) == (200, b"", str(SIZE))
    assert run(fetch(url, method="POST")).status == 405


def test_forged_and_expired_addresses_are_refused(url, settings, artefact):
    token = url.split("/")[4]

    async def body() -> None:
        for changed in (token[:-1] + ("A" if token[-1] != "A" else "B"), "1.abc.def", "1", f"9{token}", "%00"):
            assert (await fetch(url.replace(token, changed))).status in (403, 404), changed
        settings.PACKAGE_URL_SECONDS = -1
        found = await fetch(url)
        assert (found.status, b"not ours" in found.body) == (403, True)

    run(body())


def test_a_file_that_is_gone_and_a_store_that_is_away(url, artefact, monkeypatch):
    from packages.services.folder import Folder

    def away(*_arguments: object) -> None:
        raise OSError("gone for lunch")

    monkeypatch.setattr(Folder, "open", away)
    found = run(fetch(url))
    assert (found.status, found.headers["retry-after"]) == (503, "30")
    assert b"out of reach" in found.body
    monkeypatch.undo()
    store.delete_file(artefact.key)
    assert run(fetch(url)).status in (403, 404)


def test_it_is_not_compressed_and_comes_in_pieces(make, settings):
    content = b"a" * 3_000_000
    url = download_url(make("large", content=content).artefacts.get(), reached_at="")
    found = run(fetch(url, {"Accept-Encoding": "gzip"}))
    assert found.body == content
    assert "content-encoding" not in found.headers
    assert found.largest <= 256 * 1024


def test_the_agents_port_has_packages_and_any_host_may_ask(url, settings):
    settings.ALLOWED_HOSTS = ["portal.example"]
    found = run(fetch(url, {"Host": "agents.example:4320"}, port=settings.OPAMP_PORT))
    assert (found.status, found.body) == (200, CONTENT)
    assert run(fetch("http://testserver/admin/", port=settings.OPAMP_PORT)).status == 404


def test_the_loop_goes_on_while_the_disk_is_slow(make, monkeypatch):
    from packages.downloads import _AsyncPieces

    url = download_url(make("slow").artefacts.get(), reached_at="")
    waiting, go_on = asyncio.Event(), asyncio.Event()
    closed: list[bool] = []
    close = _AsyncPieces.close
    monkeypatch.setattr(_AsyncPieces, "close", lambda self: (closed.append(True), close(self)))

    async def body() -> None:
        loop = asyncio.get_running_loop()
        following = _AsyncPieces._next

        def slowly(self: _AsyncPieces) -> bytes:
            loop.call_soon_threadsafe(waiting.set)
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(5)
            return following(self)

        monkeypatch.setattr(_AsyncPieces, "_next", slowly)
        fetching = asyncio.ensure_future(fetch(url))
        await asyncio.wait_for(waiting.wait(), 5)
        # Here the loop runs, although a thread waits for the disk.
        go_on.set()
        assert (await fetching).body == CONTENT

    run(body())
    assert closed


def test_a_peer_that_leaves_gives_the_file_back(make, monkeypatch):
    from packages.downloads import _AsyncPieces

    url = download_url(make("left", content=b"x" * 2_000_000).artefacts.get(), reached_at="")
    closed: list[bool] = []
    close = _AsyncPieces.close
    monkeypatch.setattr(_AsyncPieces, "close", lambda self: (closed.append(True), close(self)))

    async def body() -> None:
        communicator = ApplicationCommunicator(application, scope_of(url, {}))
        await communicator.send_input({"type": "http.request", "body": b""})
        assert (await communicator.receive_output(5))["status"] == 200
        await communicator.send_input({"type": "http.disconnect"})
        await communicator.wait(5)
        await sync_to_async(lambda: None)()

    run(body())
    assert closed
