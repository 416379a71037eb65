"""Inputs that nobody should send, at every way into packages: what is refused is refused clearly, and nothing of it stays."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from packages.download_urls import download_url
from packages.errors import InvalidPackage
from packages.models import Artefact, Package, PackageVersion
from packages.services import store
from packages.services.package_edits import add_version, create_package
from packages.services.uploading import FileFacts, add_file
from tests.fake_agent import run
from tests.packages.conftest import CONTENT
from tests.packages.fetching import fetch

pytestmark = pytest.mark.django_db
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ETAG = f'"{SHA256}"'
SIZE = len(CONTENT)
RAW = "application/octet-stream"
Make = Callable[..., PackageVersion]


@pytest.fixture
def api(api_of: Callable[[User], APIClient], alice: User) -> APIClient:
    return api_of(alice)


def nothing_is_left() -> bool:
    return not list(store.files()) and not Artefact.objects.exists()


class TestDownloads:
    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"If-None-Match": "*"}, 304),
            ({"If-None-Match": f"W/{ETAG}"}, 304),
            ({"If-None-Match": f'"other", W/{ETAG}'}, 304),
            ({"If-None-Match": ETAG.upper()}, 200),
            ({"If-None-Match": ETAG, "Range": "bytes=0-3"}, 304),
            ({"If-Match": '"other"'}, 412),
            ({"If-Match": f"W/{ETAG}"}, 412),
            ({"If-Match": "*"}, 200),
            ({"If-Match": f'"other", {ETAG}', "Range": "bytes=0-3"}, 206),
            ({"Range": "BYTES=0-3"}, 206),
            ({"Range": "bytes=0-3", "If-Range": f"W/{ETAG}"}, 200),
            ({"Range": "bytes=0-3", "If-Range": "Sun, 29 Nov 2026 14:00:00 GMT"}, 200),
            ({"Range": "bytes=" + "0-1," * 5_000}, 200),
            ({"Range": "bytes=0-" + "9" * 18}, 206),
            ({"Range": "bytes=0x1-5"}, 200),
            ({"Range": "bytes=0-3\x00"}, 200),
            ({"Range": f"bytes={SIZE - 1}-{SIZE}"}, 206),
            ({"X-HTTP-Method-Override": "DELETE"}, 200),
        ],
    )
    def test_preconditions_and_ranges(self, make: Make, headers: dict[str, str], status: int) -> None:
        url = download_url(make().artefacts.get(), reached_at="")
        found = run(fetch(url, headers))
        assert found.status == status
        if status in (304, 412):
            assert found.body == b""
        if status == 200:
            assert found.body == CONTENT

    @pytest.mark.django_db(transaction=True)
    def test_ranges_are_of_get_alone(self, make: Make) -> None:
        """A HEAD says what the whole file is like."""
        url = download_url(make().artefacts.get(), reached_at="")
        found = run(fetch(url, {"Range": "bytes=0-3"}, method="HEAD"))
        assert (found.status, found.headers["content-length"], "content-range" in found.headers) == (
            200,
            str(SIZE),
            False,
        )
        assert run(fetch(url, {"If-None-Match": ETAG}, method="HEAD")).status == 304

    @pytest.mark.django_db(transaction=True)
    def test_an_address_is_of_one_file_for_its_time(self, make: Make, settings: Any) -> None:
        artefact = make().artefacts.get()
        url = download_url(artefact, reached_at="")
        token = url.split("/")[4]
        number, stamp, signature = token.split(".")
        other = make("other", content=b"other").artefacts.get()
        for changed in (
            f"{other.pk}.{stamp}.{signature}",
            f"{number}.zzzzzz.{signature}",
            f"0{token}",
            f"{token}.",
            "A" * 5_000,
            "é",
            "-1.a.b",
        ):
            found = run(fetch(f"http://testserver/packages/{changed}/x"))
            assert found.status == 403, changed
            assert b"not ours" in found.body
        before = settings.SECRET_KEY
        settings.SECRET_KEY = "another" * 10
        assert run(fetch(url)).status == 403
        settings.SECRET_KEY = before
        artefact.delete()
        assert run(fetch(url)).status == 404


class TestRest:
    @pytest.mark.parametrize("name", ["agent\n", "a/../", "../x", "a\u202eb", "a\x00b", ".", "-a", "x" * 101, 5])
    def test_names_of_packages(self, api: APIClient, name: Any) -> None:
        answer = api.post("/api/v1/packages", {"name": name})
        if name == "agent\n":
            assert answer.json()["name"] == "agent"
        else:
            assert (answer.status_code, Package.objects.count()) == (400, 0)

    def test_versions_are_texts_and_each_is_there_once(self, api: APIClient) -> None:
        """Not numbers to be ordered: what stands there is what agents report."""
        key = api.post("/api/v1/packages", {"name": "agent"}).json()["id"]
        url = f"/api/v1/packages/{key}/versions"
        for version in ("v1.0", "1.0", "01.0", "1.0.0+build.5", "1.0.0-rc.1~2"):
            assert api.post(url, {"version": version}).json()["version"] == version
        for version in ("1.0", " 1.0 ", "../1", "1/0", "1.0\u202e", "1 0", "", "x" * 101, 1.0, None, "1.0\x00"):
            assert api.post(url, {"version": version}).status_code == 400, version
        assert PackageVersion.objects.count() == 5

    @pytest.mark.parametrize(
        ("filename", "kept"),
        [
            ("../../etc/passwd", "passwd"),
            ("..\\..\\run.bat", "run.bat"),
            ("a\r\nSet-Cookie: x", "a-Set-Cookie-x"),
            ("\u202egnp.exe", "gnp.exe"),
            ("...", "file"),
            ("x" * 200, "x" * 120),
        ],
    )
    def test_names_of_files(self, api: APIClient, make: Make, filename: str, kept: str) -> None:
        version = make(released=False, os_type="linux")
        url = f"/api/v1/packages/{version.package_id}/versions/1/files?{urlencode({'filename': filename})}"
        made = api.put(url, data=CONTENT, content_type=RAW)
        assert (made.status_code, made.json()["filename"]) == (201, kept)
        assert all(key.startswith("packages/") and ".." not in key for key, _written in store.files())

    def test_names_that_differ_in_case_are_two_files(self, api: APIClient, make: Make) -> None:
        version = make(released=False, os_type="linux")
        url = f"/api/v1/packages/{version.package_id}/versions/1/files"
        for os_type, name, body in (("a", "X.TXT", b"upper"), ("b", "x.txt", b"lower")):
            made = api.put(f"{url}?os_type={os_type}&filename={name}", data=body, content_type=RAW)
            assert made.json()["filename"] == name
        read = f"/api/v1/packages/{version.package_id}/download?os_type="
        assert b"".join(api.get(f"{read}a").streaming_content) == b"upper"  # type: ignore[attr-defined]
        assert b"".join(api.get(f"{read}b").streaming_content) == b"lower"  # type: ignore[attr-defined]

    def test_a_digest_in_upper_case_is_the_same(self, api: APIClient, make: Make) -> None:
        version = make(released=False, os_type="linux")
        url = f"/api/v1/packages/{version.package_id}/versions/1/files?sha256={SHA256.upper()}"
        assert api.put(url, data=CONTENT, content_type=RAW).json()["sha256"] == SHA256

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"url": "https://files.example:99999/a"}, "url"),
            ({"url": "https://files.example:abc/a"}, "url"),
            ({"url": "https://files.example:0/a"}, "url"),
            ({"url": "https://files.example/a#part"}, "url"),
            ({"url": "https://:443/a"}, "url"),
            ({"url": "https://f.example\\@evil.example/a"}, "url"),
            ({"url": "https://münchen.example/a"}, "url"),
            ({"url": "https://f.example/\u202ea"}, "url"),
            ({"url": "file:///etc/passwd"}, "url"),
            ({"url": "https://f.example/", "headers": {"Host": "x"}}, "headers"),
            ({"url": "https://f.example/", "headers": {"range": "bytes=0-1"}}, "headers"),
            ({"url": "https://f.example/", "headers": {"A": "1", "a": "2"}}, "headers"),
            ({"url": "https://f.example/", "headers": {"a": ""}}, "headers"),
            ({"url": "https://f.example/", "headers": {"a": "b\x00"}}, "headers"),
            ({"url": "https://f.example/", "headers": {f"h{n}": "x" for n in range(21)}}, "headers"),
            ({"url": "https://f.example/", "size": 0}, "size"),
            ({"url": "https://f.example/", "size": 1e300}, "size"),
            ({"url": "https://f.example/", "size": True}, "size"),
            ({"url": "https://f.example/", "sha256": f"0x{SHA256[2:]}"}, "sha256"),
        ],
    )
    def test_addresses(self, api: APIClient, body: dict[str, Any], field: str) -> None:
        key = api.post("/api/v1/packages", {"name": "agent"}).json()["id"]
        api.post(f"/api/v1/packages/{key}/versions", {"version": "1"})
        answer = api.post(f"/api/v1/packages/{key}/versions/1/files", {"sha256": SHA256, **body})
        assert (answer.status_code, field in answer.json()["errors"]) == (400, True), answer.json()
        assert nothing_is_left()

    def test_an_address_by_number_is_one(self, api: APIClient) -> None:
        key = api.post("/api/v1/packages", {"name": "agent"}).json()["id"]
        api.post(f"/api/v1/packages/{key}/versions", {"version": "1"})
        body = {"url": "HTTPS://[2001:db8::1]:8443/a%20b?c=d", "sha256": SHA256.upper()}
        made = api.post(f"/api/v1/packages/{key}/versions/1/files", body).json()
        assert (made["url"], made["sha256"]) == (body["url"], SHA256)

    def test_forms_that_are_none(self, api: APIClient, make: Make) -> None:
        version = make(released=False, os_type="linux")
        url = f"/api/v1/packages/{version.package_id}/versions/1/files"
        cut = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc'
        for body, kind, status in (
            (cut, "multipart/form-data; boundary=x", 400),
            (b"abc", "multipart/form-data", 400),
            (b"<a/>", "text/xml", 415),
            (b"", "multipart/form-data; boundary=x", 400),
            (b'{"url": ' * 5_000, "application/json", 400),
        ):
            assert api.generic("POST", url, body, content_type=kind).status_code == status, kind
        two = {"file": SimpleUploadedFile("a", CONTENT), "more": SimpleUploadedFile("b", CONTENT)}
        assert api.post(url, two, format="multipart").status_code == 400
        assert len(list(store.files())) == 1

    @pytest.mark.parametrize(
        "path",
        ["0", "99999999999999999999", "1/versions/0", f"1/versions/{'9' * 20}", "x", "1/download?version=9", "1%00"],
    )
    def test_numbers_that_nothing_has(self, api: APIClient, path: str) -> None:
        assert api.get(f"/api/v1/packages/{path}").status_code == 404


class TestAdmin:
    @pytest.mark.parametrize(
        "selector",
        [
            "[" * 100_000,
            '{"a":' * 5_000 + "1" + "}" * 5_000,
            '{"a": "\\u0000"}',
            '{"a": "\\ud800"}',
            '{"a": "b", "a": "c"}',
            "a: b\na: c",
            '{"a": ' + "9" * 5_000 + "}",
            '"x"',
            "{",
        ],
        ids=range(9),
    )
    def test_selectors(self, signed_in: Client, selector: str) -> None:
        typed = {"name": "agent", "kind": "top_level", "selector": selector, "priority": "0"}
        answer = signed_in.post("/admin/packages/package/add/", typed)
        assert (answer.status_code, Package.objects.exists()) == (200, False)
        assert "errorlist" in answer.content.decode()

    def test_versions_and_files(self, signed_in: Client, make: Make) -> None:
        version = make(released=False)
        add = reverse("admin:package_add_version", args=[version.package_id])
        for text in ("1\x002", "\u202e1", "1.0.0", " ", "x" * 101):
            assert signed_in.post(add, {"version": text}).status_code == 200, text
        assert PackageVersion.objects.count() == 1
        upload = reverse("admin:package_upload", args=[version.package_id, 1])
        file = SimpleUploadedFile("x", CONTENT)
        wrong = {"file": file, "os_type": "linux", "sha256": "0" * 64}
        assert signed_in.post(upload, wrong).status_code == 200
        both = {"file": SimpleUploadedFile("x", CONTENT), "url": "https://f.example/", "sha256": SHA256, "os_type": "b"}
        assert signed_in.post(upload, both).status_code == 200
        assert signed_in.post(upload, {"os_type": "linux"}).status_code == 200
        assert len(list(store.files())) == 1 == Artefact.objects.count()
        assert signed_in.get(reverse("admin:package_upload", args=[version.package_id, 999_999])).status_code == 404


class TestCommand:
    def test_what_it_refuses(self, tmp_path: Path) -> None:
        file = tmp_path / "agent.bin"
        file.write_bytes(CONTENT)
        for words in (
            ["agent\n", "1", str(file)],
            ["agent", "1\n", str(file)],
            ["agent", "\x00", str(file)],
            ["agent", "1", str(tmp_path)],
            ["agent", "1", str(tmp_path / "nothing")],
            ["agent", "1", "/dev/null"],
            ["agent", "1", str(file), "--sha256", "0" * 64],
            ["agent", "1", str(file), "--os-type", "Linux"],
            ["agent", "1", str(file), "--signature", str(file)],
            ["other", "1", str(file), "--selector", "a=b,,"],
        ):
            with pytest.raises(CommandError):
                call_command("upload_package", *words)
        assert nothing_is_left()
        assert set(Package.objects.values_list("name", flat=True)) <= {"agent"}

    def test_the_services_take_no_line_break_either(self) -> None:
        at = timezone.now()
        with pytest.raises(InvalidPackage):
            create_package({"name": "agent\n"}, by=None, at=at)
        package = create_package({"name": "agent"}, by=None, at=at)
        with pytest.raises(InvalidPackage):
            add_version(package, "1.0\n", by=None, at=at)


@pytest.mark.django_db(transaction=True)
def test_two_uploads_for_one_platform_at_the_same_time(make: Make) -> None:
    """One is kept; of the other nothing stays."""
    version = make(released=False, os_type="linux")
    barrier = Barrier(2)

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() == 0:
                barrier.wait(10)
            return super().read(size)

    def upload(body: bytes) -> bool:
        try:
            add_file(version, Slow(body), FileFacts(os_type="windows"), by=None, at=timezone.now())
        except InvalidPackage:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(upload, [b"one", b"two"])) == [False, True]
    assert len(list(store.files())) == 2 == Artefact.objects.count()
