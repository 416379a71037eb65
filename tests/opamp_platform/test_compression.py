"""Answers travel compressed, but for those that show a secret; static files are named by content and kept for a year."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings

from agents.reports import EffectiveConfig
from opamp_platform import static_files
from tests.live_server import ROOT, LiveServer

GZIP = {"HTTP_ACCEPT_ENCODING": "gzip"}


@pytest.mark.django_db
class TestAnswers:
    def test_a_page_and_a_list_of_the_api(self, client: Client, alice: Any, report: Any) -> None:
        for number in range(30):
            report(f"agent-{number}")
        client.force_login(alice)
        for path in ("/admin/agents/agent/", "/api/v1/agents?format=json"):
            plain, packed = client.get(path), client.get(path, **GZIP)
            assert "Content-Encoding" not in plain.headers, path
            assert packed.headers["Content-Encoding"] == "gzip", path
            assert "Accept-Encoding" in packed.headers["Vary"], path
            assert len(packed.content) < len(plain.content) / 4, path
            assert len(gzip.decompress(packed.content)) == pytest.approx(len(plain.content), rel=0.05), path

    def test_the_etag_of_a_compressed_answer_is_good_for_an_edit(self, api_of: Any, alice: Any) -> None:
        api = api_of(alice)
        text = "".join(f"key{number}: value\n" for number in range(100))
        body = {"name": "long", "content_type": "yaml", "raw_config": text, "selector": {"env": "prod"}}
        assert api.post("/api/v1/configurations", body).status_code == 201
        answer = api.get("/api/v1/configurations/long", **GZIP)
        assert answer.headers["Content-Encoding"] == "gzip"
        edit = api.patch("/api/v1/configurations/long", {"priority": 1}, HTTP_IF_MATCH=answer.headers["ETag"])
        assert edit.status_code == 200

    def test_one_that_shows_a_secret_is_not(self, client: Client, api_of: Any, alice: Any, report: Any) -> None:
        """What is compressed beside somebody's own words gives a secret away by its length."""
        body = "password: hunter2\n" + "".join(f"key{number}: value\n" for number in range(100))
        agent = report("secretive", effective_config=EffectiveConfig({"": {"body": body}}))
        client.force_login(alice)
        shown = (
            client.post(f"/admin/agents/agent/{agent.pk}/secrets/", {"confirm_password": "alice-password"}, **GZIP),
            client.post(f"/admin/agents/agent/{agent.pk}/secrets/file/", {"key": ""}, **GZIP),
            api_of(alice).get(f"/api/v1/agents/{agent.instance_uid}/effective-config?secrets=shown", **GZIP),
        )
        for answer in shown:
            assert answer.status_code == 200
            assert b"hunter2" in answer.content
            assert "Content-Encoding" not in answer.headers
            assert "no-store" in answer.headers["Cache-Control"]


class TestStaticFiles:
    @pytest.fixture
    def root(self, settings: Settings, tmp_path: Path) -> Path:
        """Collected into a folder of the test's own, as a process that starts now would see it."""
        settings.STATIC_ROOT = tmp_path
        settings.STORAGES = {**settings.STORAGES}  # makes Django forget the storage it has
        return tmp_path

    def test_they_are_collected_once_for_each_state_of_the_sources(
        self, root: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        ours = tmp_path_factory.mktemp("ours")
        (ours / "a.js").write_text('import "./b.js";\n')
        (ours / "b.js").write_text("let b;\n")
        settings.STATICFILES_DIRS = [ours]
        settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
        assert static_files.collect()
        assert not static_files.collect()
        (first,) = root.glob("a.*.js")
        (ours / "b.js").write_text("let changed;\n")
        os.utime(
            ours / "b.js", (2_000_000_000, 2_000_000_000)
        )  # an edit within the same second is none to collectstatic
        assert static_files.collect()
        (second,) = set(root.glob("a.*.js")) - {first}
        assert first.exists(), "pages of the former version still name it"
        assert re.search(r'import ?"\./b\.[0-9a-f]{12}\.js"', second.read_text()), second.read_text()

    def test_where_they_cannot_be_collected_pages_name_the_sources(
        self, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings.STATIC_ROOT = tmp_path / "file" / "static"
        (tmp_path / "file").touch()
        assert not static_files.collect()
        assert "not collected" in caplog.text

    def test_a_plain_collectstatic_is_as_good(self, root: Path, settings: Settings) -> None:
        settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
        call_command("collectstatic", interactive=False, verbosity=0)
        assert not static_files.collect()

    def test_an_uncollected_one_keeps_its_name(self) -> None:
        assert not (Path(django_settings.STATIC_ROOT) / "staticfiles.json").exists()
        assert static_files.staticfiles_storage.url("portal/portal.css") == "/static/portal/portal.css"

    def test_browsers_keep_them_for_a_year(self, shared_portal: LiveServer) -> None:
        with urllib.request.urlopen(shared_portal.url + "/admin/login/") as page:
            body = page.read().decode()
        names = set(re.findall(r'(?:href|src)="(/static/[^"]+\.(?:css|js|svg))"', body))
        assert any(re.fullmatch(r"/static/portal/portal\.[0-9a-f]{12}\.css", name) for name in names), names
        for name in names:
            request = urllib.request.Request(shared_portal.url + name, headers={"Accept-Encoding": "gzip"})
            with urllib.request.urlopen(request) as answer:
                assert "immutable" in answer.headers["Cache-Control"], name
                assert int(re.search(r"max-age=(\d+)", answer.headers["Cache-Control"])[1]) >= 365 * 24 * 3600, name
                if not name.endswith(".svg"):
                    assert answer.headers["Content-Encoding"] == "gzip", name

    def test_pages_come_compressed_from_the_server(self, shared_portal: LiveServer) -> None:
        request = urllib.request.Request(shared_portal.url + "/admin/login/", headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request) as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            assert b"csrfmiddlewaretoken" in gzip.decompress(answer.read())


def test_the_image_is_built_with_them() -> None:
    """Its file system may be read-only when it runs."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^RUN .*manage\.py collectstatic", text, re.MULTILINE)
    assert "STATIC_ROOT=" in text


def test_memory_of_workers_holds_no_client_of_the_store() -> None:
    program = "import sys, django; django.setup(); import opamp_platform.asgi; print('boto3' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "opamp_platform.settings"},
    )  # fmt: skip
    assert done.stdout.strip() == "False", done.stderr
