"""The same store in an S3 bucket: parts, ranges, presigned addresses, and what happens when it is away."""

from __future__ import annotations

import hashlib
import io
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.utils import timezone
from moto.server import ThreadedMotoServer
from storages.backends.s3 import S3Storage

from packages.download_urls import download_url
from packages.errors import FileTooLarge, StoreAway
from packages.services import bucket, store
from packages.services.cleaning import clean
from packages.services.uploading import FileFacts, add_file
from tests.fake_agent import run
from tests.live_server import free_port
from tests.packages.conftest import CONTENT
from tests.packages.fetching import fetch

pytestmark = pytest.mark.django_db(transaction=True)
MIB = 1024**2


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3-compatible store."""
    made = ThreadedMotoServer("127.0.0.1", 0)
    made.start()
    host, port = made.get_host_and_port()
    yield f"http://{host}:{port}"
    made.stop()


def use(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    keys = {"bucket_name": "opamp", "access_key": "a", "secret_key": "b", "region_name": "us-east-1"}
    monkeypatch.setattr(default_storage, "_wrapped", S3Storage(endpoint_url=address, **keys))
    monkeypatch.setattr(store, "_verdict", None)


@pytest.fixture
def client(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The bucket ``opamp``, empty, as the portal's storage."""
    urllib.request.urlopen(urllib.request.Request(f"{server}/moto-api/reset", method="POST")).close()
    made = boto3.client(
        "s3", endpoint_url=server, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
    )
    made.create_bucket(Bucket="opamp")
    use(monkeypatch, server)
    return made


def test_a_file_is_stored_read_in_ranges_and_deleted(client, make):
    artefact = make().artefacts.get()
    url = download_url(artefact, reached_at="")
    assert url.startswith("http://testserver/packages/")

    async def body() -> None:
        assert (await fetch(url)).body == CONTENT
        part = await fetch(url, {"Range": "bytes=5-14"})
        assert (part.status, part.body) == (206, CONTENT[5:15])

    run(body())
    store.delete_file(artefact.key)
    assert store.files() == []
    assert run(fetch(url)).status == 404


class Endless(io.RawIOBase):
    """So many zeros, none of which lie in memory; remembers the largest piece asked for."""

    def __init__(self, size: int) -> None:
        self.left, self.largest = size, 0

    def read(self, size: int = -1, /) -> bytes:
        assert size > 0, "all of it at once"
        self.largest = max(self.largest, size)
        found = bytes(min(size, self.left))
        self.left -= len(found)
        return found


def test_a_large_file_goes_in_parts_of_bounded_size(client, make):
    version = make(released=False)
    source = Endless(40 * MIB)
    row = add_file(version, source, FileFacts(filename="big", os_type="linux"), by=None, at=timezone.now())
    assert (row.size, source.largest <= 16 * MIB) == (40 * MIB, True)
    assert row.sha256 == hashlib.sha256(bytes(40 * MIB)).hexdigest()
    assert client.head_object(Bucket="opamp", Key=row.key)["ContentLength"] == 40 * MIB
    assert "-3" in client.head_object(Bucket="opamp", Key=row.key)["ETag"], "not in three parts"


def test_what_breaks_leaves_neither_file_nor_parts(client, make, settings):
    version = make(released=False)
    before = store.files()
    settings.PACKAGE_MAX_SIZE = 20 * MIB
    with pytest.raises(FileTooLarge):
        add_file(version, Endless(40 * MIB), FileFacts(filename="b", os_type="linux"), by=None, at=timezone.now())
    assert store.files() == before
    assert not client.list_multipart_uploads(Bucket="opamp").get("Uploads")


def test_presigned_addresses_where_the_settings_say_so(client, make, settings):
    settings.PACKAGE_DOWNLOADS = "store"
    url = download_url(make().artefacts.get(), reached_at="http://portal")
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url
    assert urllib.request.urlopen(url).read() == CONTENT


def test_a_bucket_that_is_away(client, make, monkeypatch):
    version = make(released=False)
    url = download_url(version.artefacts.get(), reached_at="")
    monkeypatch.setattr(bucket, "_ATTEMPTS", 1)
    use(monkeypatch, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StoreAway, match="out of reach"):
        add_file(version, io.BytesIO(CONTENT), FileFacts(os_type="linux"), by=None, at=timezone.now())
    assert run(fetch(url)).status == 503
    assert store.is_away()
    assert not store.ask_now()


def test_what_was_never_asked_promises_nothing_until_it_answers(client, monkeypatch):
    assert store.is_away()
    assert store.ask_now()
    assert not store.is_away()


def test_orphans_are_found_and_cleaned(client, make, capsys):
    kept = make().artefacts.get()
    client.put_object(Bucket="opamp", Key="packages/abc/orphan", Body=b"x")
    client.put_object(Bucket="opamp", Key="elsewhere/file", Body=b"x")
    later = timezone.now() + timedelta(hours=25)
    assert clean(timezone.now()) == [], "an upload that is on its way"
    client.create_multipart_upload(Bucket="opamp", Key="packages/def/part")
    assert clean(later, dry_run=True) == ["packages/abc/orphan", "packages/def/part"]
    assert clean(later) == ["packages/abc/orphan", "packages/def/part"]
    assert [key for key, _at in store.files()] == [kept.key]
    assert clean(later) == []
    call_command("clean_packages", "--dry-run")
    assert "Nothing to clean." in capsys.readouterr().out
