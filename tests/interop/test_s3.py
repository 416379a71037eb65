"""Files of packages in a real S3 server: uploads, what breaks, ranges, cleaning, and a store that is away."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from agents.reports import AgentCapabilities
from opamp_transport.proto import opamp_pb2
from tests import not_run
from tests.fake_agent import COLLECTOR, FakeAgent
from tests.interop import object_store
from tests.interop.object_store import BUCKET, ObjectStore
from tests.interop.uploads import UploadedPackage, content_of, sha256_of
from tests.live_server import LiveServer
from tests.plain_http import post

pytestmark = pytest.mark.interop
MIB = 1024**2
DAY = 24 * 3600.0
ACCEPTS = COLLECTOR | AgentCapabilities.ACCEPTS_PACKAGES | AgentCapabilities.REPORTS_PACKAGE_STATUSES
# Parts are of 16 MiB.
LARGE = content_of(37 * MIB)


@pytest.fixture(scope="module", autouse=True)
def _buildable(request: pytest.FixtureRequest) -> None:
    """Only where the store was built."""
    if why := object_store.obstacle():
        for item in request.session.items:
            if item.path == request.path:
                not_run.note(item, "interop", why, "packages in versitygw")
        pytest.skip(f"versitygw: {why}")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with ObjectStore(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture(scope="module")
def server(store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Agents fetch from the portal."""
    with LiveServer(tmp_path_factory.mktemp("portal"), **store.settings) as running:
        yield running


@pytest.fixture
def handing_on(tmp_path: Path) -> Iterator[tuple[LiveServer, ObjectStore]]:
    """Agents fetch from the store itself, one of its own: nobody else's files are there."""
    with ObjectStore(tmp_path) as own, LiveServer(tmp_path, PACKAGE_DOWNLOADS="store", **own.settings) as running:
        yield running, own


class Polling:
    """An agent over HTTP that takes packages, with a label of its own."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        self.name = f"s3-{uuid4().hex[:12]}"
        self.agent = FakeAgent(capabilities=int(ACCEPTS), test=self.name)

    def package(self, content: bytes, *, version: str = "1") -> UploadedPackage:
        """One that matches it, released."""
        package = UploadedPackage.made(self.server, self.name, {"test": self.name})
        assert package.put(package.add_version(version), content).status == 201
        package.release(1)
        return package

    def poll(self, **parts: Any) -> opamp_pb2.ServerToAgent:
        """One exchange."""
        answer = post(self.server.http_endpoint, self.agent.message(**parts).SerializeToString())
        assert answer.status == 200, answer
        return opamp_pb2.ServerToAgent.FromString(answer.body)

    def connect(self) -> opamp_pb2.ServerToAgent:
        """Its first words."""
        return self.poll(**self.agent.full_parts(), package_statuses=opamp_pb2.PackageStatuses())

    def offered_file(self) -> opamp_pb2.DownloadableFile:
        """Of its first offer, once the portal knows that the store is there."""
        reply = self.connect()
        offers = [reply] if reply.HasField("packages_available") else []

        def claim() -> bool:
            reply = self.poll() if not offers else offers[0]
            offers.extend([reply] if reply.HasField("packages_available") else [])
            return bool(offers)

        self.server.eventually(claim, 30, "an offer")
        return offers[0].packages_available.packages[self.name].file

    def status(self) -> str:
        """How far REST says that it is."""
        found = self.server.get(f"agents/{self.agent.uid}/installations")
        rows = found["results"] if isinstance(found, dict) else found
        return str(rows[0]["status"])


def fetched(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers by lower-case name, body."""
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {name.lower(): value for name, value in error.headers.items()}, error.read()


def key_of(store: ObjectStore, before: dict[str, Any]) -> str:
    """The one object that is new."""
    (key,) = store.objects().keys() - before.keys()
    return str(key)


@pytest.mark.parametrize("way", ["put", "post_form"])
def test_a_file_above_one_part_goes_in_parts_whichever_way_it_comes(
    server: LiveServer, store: ObjectStore, way: str
) -> None:
    before = store.objects()
    package = UploadedPackage.made(server, f"parts-{way}", {"role": "nobody"})
    answer = getattr(package, way)(package.add_version("1"), LARGE)
    assert (answer.status, answer.json["size"], answer.json["sha256"]) == (201, len(LARGE), sha256_of(LARGE))
    key = key_of(store, before)
    head = store.client.head_object(Bucket=BUCKET, Key=key)
    assert head["ContentLength"] == len(LARGE)
    assert head["ETag"].strip('"').endswith("-3"), "not in three parts"
    body = store.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert hashlib.sha256(body).hexdigest() == sha256_of(LARGE)
    assert store.unfinished() == []


def test_an_upload_that_is_cut_off_leaves_nothing(server: LiveServer, store: ObjectStore) -> None:
    before = store.objects()
    package = UploadedPackage.made(server, "half", {"role": "nobody"})
    number = package.add_version("1")
    package.put_half(number, LARGE[: 20 * MIB], len(LARGE))
    assert package.files(number) == []
    assert package.put(number, b"whole").status == 201
    assert store.unfinished() == []
    assert len(store.objects()) == len(before) + 1


def test_what_is_refused_when_all_of_it_is_stored_is_taken_away(server: LiveServer, store: ObjectStore) -> None:
    before = store.objects()
    package = UploadedPackage.made(server, "wrong", {"role": "nobody"})
    answer = package.put(package.add_version("1"), LARGE, sha256="0" * 64)
    assert answer.status == 400
    assert answer.json["code"]
    assert store.objects().keys() == before.keys()


def test_agents_fetch_ranges_from_the_portal(server: LiveServer) -> None:
    polling = Polling(server)
    polling.package(LARGE)
    file = polling.offered_file()
    assert file.download_url.startswith(f"{server.url}/packages/")
    assert file.content_hash.hex() == sha256_of(LARGE)
    begin, end = 16 * MIB - 5, 16 * MIB + 4
    status, headers, body = fetched(file.download_url, range=f"bytes={begin}-{end}")
    assert (status, body) == (206, LARGE[begin : end + 1])
    assert headers["content-range"] == f"bytes {begin}-{end}/{len(LARGE)}"
    assert fetched(file.download_url, range=f"bytes={begin}-", if_range='"other"')[2] == LARGE
    assert fetched(file.download_url, if_none_match=headers["etag"])[0] == 304
    assert fetched(file.download_url)[2] == LARGE


def test_agents_fetch_ranges_from_the_store_by_presigned_addresses(
    handing_on: tuple[LiveServer, ObjectStore],
) -> None:
    portal, store = handing_on
    polling = Polling(portal)
    polling.package(LARGE)
    url = polling.offered_file().download_url
    assert url.startswith(f"{store.url}/{BUCKET}/packages/")
    status, headers, body = fetched(url, range="bytes=100-199")
    assert (status, body) == (206, LARGE[100:200])
    etag = headers["etag"]
    # Going on after a break: the rest, if it is the same file.
    rest = fetched(url, range=f"bytes={len(LARGE) - 7}-", if_match=etag)
    assert (rest[0], rest[2]) == (206, LARGE[-7:])
    assert fetched(url, if_match='"other"')[0] == 412
    assert fetched(url)[2] == LARGE
    assert fetched(url.replace("Expires=", "Expires=1"))[0] == 403
    assert fetched(f"{store.url}/{BUCKET}/")[0] == 403, "the bucket is public"


def test_files_go_with_their_rows(server: LiveServer, store: ObjectStore) -> None:
    before = store.objects()
    package = UploadedPackage.made(server, "deleted", {"role": "nobody"})
    number = package.add_version("1")
    file = package.put(number, b"one").json["id"]
    assert len(store.objects()) == len(before) + 1
    assert server.api("DELETE", f"packages/{package.id}/versions/{number}/files/{file}").status == 204
    assert store.objects().keys() == before.keys()
    package.put(number, b"two")
    assert server.api("DELETE", f"packages/{package.id}").status == 204
    assert store.objects().keys() == before.keys()


def test_what_belongs_to_nobody_is_cleaned_a_day_later(server: LiveServer, store: ObjectStore) -> None:
    package = UploadedPackage.made(server, "kept", {"role": "nobody"})
    package.put(package.add_version("1"), b"kept")
    kept = store.objects().keys()
    store.client.put_object(Bucket=BUCKET, Key="packages/abc/orphan", Body=b"x")
    store.client.put_object(Bucket=BUCKET, Key="elsewhere/file", Body=b"x")
    store.client.create_multipart_upload(Bucket=BUCKET, Key="packages/def/half")
    assert "Nothing to clean." in server.manage("clean_packages")
    store.age(DAY + 60)
    told = server.manage("clean_packages", "--dry-run").split("\n")
    assert told[:3] == ["packages/abc/orphan", "packages/def/half", "2 would be taken away."]
    assert "2 taken away." in server.manage("clean_packages")
    assert store.objects().keys() == kept | {"elsewhere/file"}
    assert store.unfinished() == []
    assert "Nothing to clean." in server.manage("clean_packages")


def storage_health(server: LiveServer) -> str:
    """What the probe of readiness says of the store."""
    status, _headers, body = fetched(f"{server.url}/health/ready")
    assert status == 200, body
    return body.decode()


def test_while_the_store_is_away_offers_wait_and_nobody_has_failed(server: LiveServer, store: ObjectStore) -> None:
    polling = Polling(server)
    package = polling.package(b"a file")
    assert '"degraded"' not in storage_health(server)
    with store.away():
        server.eventually(lambda: '"degraded"' in storage_health(server), 30, "readiness is degraded")
        assert f"bucket {BUCKET} is out of reach" in storage_health(server)
        number = package.add_version("2")
        answer = package.put(number, b"another file")
        assert (answer.status, answer.json["code"]) == (503, "package-store-away")
        assert package.files(number) == []
        assert not polling.connect().HasField("packages_available")
        assert not polling.poll().HasField("packages_available")
        assert polling.status() == "pending"
        assert fetched(f"{server.url}/admin/login/")[0] == 200
    file = Polling.offered_file(polling)
    assert fetched(file.download_url)[2] == b"a file"
    assert polling.status() == "offered"
    server.eventually(lambda: '"degraded"' not in storage_health(server), 30, "readiness is good again")
