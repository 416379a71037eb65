"""Packages over REST: what is made, uploaded, released, read and refused."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.models import AuditEntry
from packages.models import Artefact, Installation, Package, PackageVersion
from packages.services import store
from rollouts.models import Release, Rollout
from tests.packages.conftest import CONTENT
from tests.packages.signing import signature_by, signing_key
from tests.people import CAPABLE

pytestmark = pytest.mark.django_db
SHA256 = hashlib.sha256(CONTENT).hexdigest()
RAW = "application/octet-stream"
ACCEPTS = CAPABLE | 0x08 | 0x10


@pytest.fixture
def api(api_of: Any, alice: Any) -> Any:
    return api_of(alice)


@pytest.fixture
def url(api: Any) -> str:
    """Of the files of version 1 of a new package."""
    answer = api.post("/api/v1/packages", {"name": "agent", "selector": {"env": "prod"}})
    assert answer.status_code == 201, answer.json()
    package = f"/api/v1/packages/{answer.json()['id']}"
    made = api.post(f"{package}/versions", {"version": "1.0.0", "note": "first"})
    assert (made.status_code, made.json()["number"]) == (201, 1)
    return f"{package}/versions/1/files"


def put(api: Any, url: str, body: bytes = CONTENT, **query: str) -> Any:
    from urllib.parse import urlencode

    return api.put(f"{url}?{urlencode(query)}", data=body, content_type=RAW)


def nothing_is_left() -> bool:
    return not store.files() and not Artefact.objects.exists()


def test_the_whole_way(api, url, report):
    agent = report(env="prod", capabilities=ACCEPTS)
    made = put(api, url, os_type="linux", architecture="amd64", filename="agent.tar.gz", sha256=SHA256)
    assert made.status_code == 201
    body = made.json()
    assert (body["size"], body["sha256"], body["filename"]) == (len(CONTENT), SHA256, "agent.tar.gz")
    released = api.post(url.replace("/files", "/release"), {})
    assert released.status_code == 200
    assert released.json()["version"]["in_force"] is True
    assert released.json()["rollout"] is None
    package = api.get("/api/v1/packages").json()["results"][0]
    assert (package["newest_version"], package["agents"], package["installed"]) == ("1.0.0", 1, 0)
    listed = api.get(f"/api/v1/packages/{package['id']}/agents?status=pending&version=1.0.0").json()
    assert [row["instance_uid"] for row in listed["results"]] == [str(agent.instance_uid)]
    rows = api.get(f"/api/v1/agents/{agent.instance_uid}/installations").json()
    assert [(row["package"], row["version"], row["status"]) for row in rows] == [("agent", "1.0.0", "pending")]
    assert api.get("/api/v1/agents?upgrade_available=true").json()["count"] == 1
    again = api.post(f"/api/v1/agents/{agent.instance_uid}/installations/retry", {})
    assert (again.status_code, again.json()[0]["hash"] != rows[0]["hash"]) == (200, True)
    verbs = set(AuditEntry.objects.values_list("verb", flat=True))
    wanted = {"package.create", "package.add_version", "package.add_file", "package.release", "agent.install_again"}
    assert wanted <= verbs


def test_a_form_uploads_too(api, url):
    file = SimpleUploadedFile("agent.zip", CONTENT)
    answer = api.post(url, {"file": file, "os_type": "windows", "sha256": SHA256}, format="multipart")
    assert (answer.status_code, answer.json()["os_type"]) == (201, "windows")
    assert api.post(url, {"os_type": "linux"}, format="multipart").status_code == 400


def test_somebody_elses_address(api, url):
    body = {"url": "https://files.example/agent.rpm", "sha256": SHA256, "headers": {"Authorization": "Bearer xyz"}}
    answer = api.post(url, body)
    assert answer.status_code == 201
    assert (answer.json()["headers"], answer.json()["filename"]) == (["Authorization"], "agent.rpm")
    assert "xyz" not in str(api.get(url.replace("/files", "")).json())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "http://files.example/a", "sha256": SHA256}, "url"),
        ({"url": "https://user:word@files.example/a", "sha256": SHA256}, "url"),
        ({"url": "https://[broken", "sha256": SHA256}, "url"),
        ({"url": "https://files.example/a", "sha256": "abc"}, "sha256"),
        ({"url": "https://files.example/a", "sha256": SHA256, "os_type": "Linux OS"}, "os_type"),
        ({"url": "https://files.example/a", "sha256": SHA256, "headers": {"a b": "c"}}, "headers"),
        ({"url": "https://files.example/a", "sha256": SHA256, "headers": {"a": "c\r\nb: d"}}, "headers"),
        ({"url": "https://files.example/a", "sha256": SHA256, "signature": "abc"}, "signature"),
    ],
)
def test_strange_addresses_are_refused_by_field(api, url, body, field):
    answer = api.post(url, body)
    assert (answer.status_code, field in answer.json()["errors"]) == (400, True)
    assert nothing_is_left()


@pytest.mark.parametrize(
    ("query", "status"), [({"sha256": "0" * 64}, 400), ({"os_type": "../etc"}, 400), ({"signature": "!"}, 400)]
)
def test_what_is_refused_leaves_nothing(api, url, query, status):
    assert put(api, url, **query).status_code == status
    assert nothing_is_left()


def test_too_large_and_empty_files_are_refused(api, url, settings):
    settings.PACKAGE_MAX_SIZE = len(CONTENT) - 1
    answer = put(api, url)
    assert (answer.status_code, answer.json()["code"]) == (413, "package-too-large")
    assert put(api, url, b"").status_code == 400
    assert nothing_is_left()


def test_with_keys_unsigned_files_are_refused(api, url, settings):
    key, public = signing_key()
    settings.PACKAGE_SIGNING_KEYS = [public]
    assert put(api, url).json()["code"] == "invalid-package"
    stranger, _public = signing_key()
    assert put(api, url, signature=signature_by(stranger, CONTENT)).status_code == 400
    assert put(api, url, b"other" + CONTENT, signature=signature_by(key, CONTENT)).status_code == 400
    assert nothing_is_left()
    assert put(api, url, signature=signature_by(key, CONTENT)).status_code == 201


def test_a_platform_has_one_file_and_a_released_version_keeps_its_own(api, url):
    assert put(api, url, os_type="linux").status_code == 201
    assert put(api, url, os_type="linux").status_code == 400
    assert len(store.files()) == 1
    file = Artefact.objects.get()
    assert api.delete(f"{url}/{file.pk}").status_code == 204
    assert api.post(url.replace("/files", "/release"), {}).json()["code"] == "package-version-empty"
    assert put(api, url).status_code == 201
    assert api.post(url.replace("/files", "/release"), {"release": "at_once"}).status_code == 200
    assert api.post(url.replace("/files", "/release"), {}).json()["code"] == "package-version-released"
    assert put(api, url, os_type="windows").json()["code"] == "package-version-fixed"
    assert api.delete(f"{url}/{Artefact.objects.get().pk}").status_code == 409


def test_a_version_in_use_cannot_be_deleted_and_a_former_one_can(api, make, report, django_capture_on_commit_callbacks):
    first = make(version="1.0.0")
    report(env="prod", capabilities=ACCEPTS)
    package = f"/api/v1/packages/{first.package_id}"
    assert api.delete(f"{package}/versions/1").json()["code"] == "package-version-in-use"
    assert api.delete(package).json()["code"] == "package-in-use"
    make(version="2.0.0", package=first.package)
    with django_capture_on_commit_callbacks(execute=True):
        assert api.delete(f"{package}/versions/1").status_code == 204
    assert len(store.files()) == 1
    assert api.patch(package, {"enabled": False}).status_code == 200
    assert not Installation.objects.exists()
    with django_capture_on_commit_callbacks(execute=True):
        assert api.delete(package).status_code == 204
    assert (store.files(), Package.objects.count(), Release.objects.live().count()) == ([], 0, 0)


def test_going_back_is_releasing_a_former_version(api, make, report):
    first = make(version="1.0.0")
    report(env="prod", capabilities=ACCEPTS)
    make(version="2.0.0", package=first.package)
    assert Installation.objects.get().version.version == "2.0.0"
    answer = api.post(f"/api/v1/packages/{first.package_id}/versions/1/release", {"release": "at_once"})
    assert answer.status_code == 200
    assert Installation.objects.get().version.version == "1.0.0"


def test_a_release_in_stages_is_a_rollout(api, make, report):
    version = make(released=False)
    report(env="prod", capabilities=ACCEPTS)
    url = f"/api/v1/packages/{version.package_id}/versions/1/release"
    answer = api.post(url, {"release": {"stages": [{"count": 1}]}})
    assert answer.json()["rollout"]["state"] == "running"
    rollout = Rollout.objects.get()
    shown = api.get(f"/api/v1/rollouts/{rollout.pk}").json()
    assert (shown["package"], shown["version"], shown["subject"]) == ("agent", "1.0.0", "package")
    assert api.post(url, {"release": "canary"}).json()["code"] == "rollout-running"
    assert api.post(url, {"release": "at_once", "replace_rollout": True}).status_code == 200
    assert api.post(url, {"release": {"stages": "x"}}).status_code == 400


def test_edits_are_checked_against_the_edition(api, make):
    version = make()
    url = f"/api/v1/packages/{version.package_id}"
    etag = api.get(url)["ETag"]
    assert api.patch(url, {"priority": 5}, headers={"If-Match": etag}).json()["priority"] == 5
    assert api.patch(url, {"priority": 6}, headers={"If-Match": etag}).status_code == 412
    assert api.patch(url, {"priority": 6}, headers={"If-Match": "x"}).status_code == 412
    for body in (
        {"name": "other"},
        {"kind": "addon"},
        {"selector": {"a": {"b": 1}}},
        {"nonsense": 1},
        {"priority": "1"},
    ):
        assert api.patch(url, body).status_code == 400, body


def test_a_download_by_right(api, make):
    version = make(os_type="linux", architecture="amd64")
    url = f"/api/v1/packages/{version.package_id}/download"
    whole = api.get(f"{url}?os_type=linux&architecture=amd64")
    assert (whole.status_code, b"".join(whole.streaming_content)) == (200, CONTENT)
    assert whole["ETag"] == f'"{SHA256}"'
    part = api.get(f"{url}?os_type=linux&architecture=amd64&version=1.0.0", headers={"Range": "bytes=-10"})
    assert (part.status_code, b"".join(part.streaming_content)) == (206, CONTENT[-10:])
    assert api.get(f"{url}?os_type=windows").json()["code"] == "package-no-file"
    assert api.get(f"{url}?version=9").status_code == 404
    assert api.get("/api/v1/packages/999/download").status_code == 404


def test_rights(api_of, alice, bob, charlie, make, report):
    version = make()
    agent = report(env="prod", capabilities=ACCEPTS)
    package = f"/api/v1/packages/{version.package_id}"
    files = f"{package}/versions/1/files"
    assert api_of(bob).get(package).status_code == 200
    assert api_of(bob).get(f"/api/v1/agents/{agent.instance_uid}/installations").status_code == 200
    for method, url in (
        ("post", "/api/v1/packages"),
        ("patch", package),
        ("delete", package),
        ("post", f"{package}/versions"),
        ("post", f"{package}/versions/1/release"),
        ("post", files),
        ("put", files),
        ("post", f"/api/v1/agents/{agent.instance_uid}/installations/retry"),
    ):
        assert getattr(api_of(bob), method)(url, {}).status_code == 403, (method, url)
        assert getattr(api_of(None), method)(url, {}).status_code == 401, (method, url)
    assert api_of(charlie).get(package).status_code == 403
    assert api_of(charlie).get(f"{package}/download").status_code == 403


def test_a_source_that_breaks_leaves_nothing(make):
    from django.utils import timezone

    from packages.services.uploading import FileFacts, add_file

    class Breaking(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 4_000:
                raise OSError("the connection was cut")
            return super().read(1_000)

    version = make(released=False)
    facts = FileFacts(filename="f", os_type="linux")
    with pytest.raises(OSError, match="cut"):
        add_file(version, Breaking(CONTENT), facts, by=None, at=timezone.now())
    assert len(store.files()) == 1
    assert PackageVersion.objects.get().artefacts.count() == 1
