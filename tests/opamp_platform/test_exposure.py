"""What is open is said, and closed by settings: bound addresses, hosts, proxies, cookies, metrics, files."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from opamp_platform.operations.data_dir import close_to_others
from opamp_platform.operations.exposure import anonymous_agents_problem, exposures, listens_on_loopback_alone
from tests.live_server import ROOT, LiveServer, free_port

SECRET = "a-secret-of-the-agents"


def settings_of(tmp_path: Path, *names: str, **environment: str) -> dict[str, Any]:
    """Values of these settings in a process of its own with this environment."""
    program = (
        "import json; from opamp_platform import settings; "
        f"print(json.dumps({{name: getattr(settings, name) for name in {names!r}}}))"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OPAMP_", "CSRF_", "ALLOWED"))}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, env={**clean, "DATA_DIR": str(tmp_path), **environment},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class TestAddresses:
    @pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
    def test_of_this_machine_alone(self, host: str, settings: Settings) -> None:
        settings.OPAMP_SECRET_KEY = ""
        assert listens_on_loopback_alone(host)
        assert anonymous_agents_problem(host) is None

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.7", "no.such.host.invalid"])
    def test_of_others_too_need_a_secret_or_a_word(self, host: str, settings: Settings) -> None:
        settings.OPAMP_SECRET_KEY = ""
        said = anonymous_agents_problem(host)
        assert said is not None
        assert "OPAMP_SECRET_KEY" in said
        assert "OPAMP_ALLOW_ANONYMOUS_AGENTS" in said
        settings.OPAMP_ALLOW_ANONYMOUS_AGENTS = True
        assert anonymous_agents_problem(host) is None
        settings.OPAMP_ALLOW_ANONYMOUS_AGENTS, settings.OPAMP_SECRET_KEY = False, SECRET
        assert anonymous_agents_problem(host) is None

    @pytest.mark.parametrize(
        ("host", "secret", "hosts", "named"),
        [
            ("127.0.0.1", "", ["*"], ["OPAMP_SECRET_KEY"]),
            ("127.0.0.1", SECRET, ["*"], []),
            ("0.0.0.0", SECRET, ["*"], ["ALLOWED_HOSTS"]),
            ("0.0.0.0", "", ["*"], ["OPAMP_SECRET_KEY", "ALLOWED_HOSTS"]),
            ("0.0.0.0", SECRET, ["portal.example.com"], []),
        ],
    )
    def test_what_is_said_of_a_server(
        self, host: str, secret: str, hosts: list[str], named: list[str], settings: Settings
    ) -> None:
        settings.OPAMP_SECRET_KEY, settings.ALLOWED_HOSTS = secret, hosts
        found = exposures(host)
        assert len(found) == len(named)
        assert all(name in str(said) for name, said in zip(named, found, strict=True))


class TestStart:
    def test_on_other_addresses_without_a_secret_it_does_not_start(self, tmp_path: Path) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("OPAMP_")}
        done = subprocess.run(
            [sys.executable, "manage.py", "serve", "--host", "0.0.0.0", "--port", str(free_port())],
            cwd=ROOT, env={**clean, "DATA_DIR": str(tmp_path), "DATABASE_URL": "", "REDIS_URL": ""},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert "OPAMP_SECRET_KEY" in done.stderr
        assert "OPAMP_ALLOW_ANONYMOUS_AGENTS=true" in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "opamp.sqlite3").exists()

    def test_on_loopback_it_starts_and_says_that_nobody_is_asked(self, tmp_path: Path) -> None:
        with LiveServer(tmp_path, OPAMP_SECRET_KEY="") as server:
            said = server.log_tail()
        assert "Warning: Agents are not asked for a secret" in said
        assert "ALLOWED_HOSTS" not in said

    def test_data_is_its_owners_alone(self, tmp_path: Path) -> None:
        folder = tmp_path / "new"
        before = os.umask(0o022)
        try:
            server = LiveServer(tmp_path, DATA_DIR=str(folder), DATABASE_URL="")
            server.start()
        finally:
            os.umask(before)
        with contextlib.closing(server):
            modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}
            assert folder / "opamp.sqlite3" in modes
            assert folder / "secret_key" in modes
            assert {oct(mode) for mode in modes.values() if mode & 0o077} == set()
            assert "chmod" not in server.log_tail()

    def test_what_others_could_read_is_closed_and_a_folder_that_was_there_is_named(self, tmp_path: Path) -> None:
        folder = tmp_path / "old"
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
        key, other = folder / "secret_key", folder / "notes.txt"
        for path in (key, other):
            path.write_text("x" * 64)
            path.chmod(0o644)
        with LiveServer(tmp_path, DATA_DIR=str(folder), DATABASE_URL="") as server:
            said = server.log_tail()
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert stat.S_IMODE(other.stat().st_mode) == 0o644
        assert f"DATA_DIR={folder} (rights 755)" in said

    def test_links_are_not_followed(self, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.write_text("x")
        outside.chmod(0o644)
        (tmp_path / "secret_key").symlink_to(outside)
        assert close_to_others(tmp_path, ["secret_key"]) == []
        assert stat.S_IMODE(outside.stat().st_mode) == 0o644

    def test_commands_of_developers_write_readable_source(self) -> None:
        program = (
            "import os, sys; sys.argv = ['manage.py', sys.argv[1]]; "
            "from opamp_platform import settings; print(oct(os.umask(0)))"
        )
        for command, umask in (("makemessages", "0o22"), ("makemigrations", "0o22"), ("migrate", "0o77")):
            done = subprocess.run(
                [sys.executable, "-c", program, command],
                cwd=ROOT, umask=0o022, capture_output=True, text=True, timeout=60, check=True,
            )  # fmt: skip
            assert done.stdout.strip() == umask, command


@pytest.mark.django_db
class TestOverview:
    def shown(self, client: Client, **extra: str) -> str:
        return client.get("/admin/", **extra).content.decode()  # type: ignore[arg-type]

    def test_says_that_agents_are_not_asked(self, client: Client, alice: Any, settings: Settings) -> None:
        client.force_login(alice)
        settings.OPAMP_SECRET_KEY = ""
        assert "Agents are not asked for a secret" in self.shown(client)
        settings.OPAMP_SECRET_KEY = SECRET
        assert "Agents are not asked" not in self.shown(client)

    @pytest.mark.parametrize("served", ["0.0.0.0", ""])
    def test_says_that_any_host_is_served(self, client: Client, alice: Any, settings: Settings, served: str) -> None:
        client.force_login(alice)
        # Under another server the address that was called is all that is known.
        settings.SERVED_HOST = served
        settings.ALLOWED_HOSTS = ["*"]
        assert "any host name" in self.shown(client, SERVER_NAME="192.0.2.7")
        settings.ALLOWED_HOSTS = ["portal.example.com"]
        assert "any host name" not in self.shown(client, HTTP_HOST="portal.example.com", SERVER_NAME="192.0.2.7")


@pytest.mark.django_db
class TestHosts:
    @pytest.mark.parametrize("path", ["/health", "/health/", "/health/live", "/health/ready", "/metrics", "/metrics/"])
    def test_probes_call_whatever_they_know(self, client: Client, settings: Settings, path: str) -> None:
        settings.ALLOWED_HOSTS = ["portal.example.com"]
        assert client.get(path, headers={"host": "10.1.2.3:8080"}).status_code == 200

    @pytest.mark.parametrize("path", ["/", "/admin/login/", "/api/v1/agents", "/healthy", "/metrics/x"])
    def test_pages_are_served_under_names_of_the_portal(self, client: Client, settings: Settings, path: str) -> None:
        settings.ALLOWED_HOSTS = ["portal.example.com"]
        assert client.get(path, headers={"host": "10.1.2.3:8080"}).status_code == 400
        assert client.get(path, headers={"host": "portal.example.com"}).status_code != 400


class TestTls:
    def test_only_a_trusted_proxy_says_how_people_came(self, tmp_path: Path) -> None:
        name = "SECURE_PROXY_SSL_HEADER"
        assert settings_of(tmp_path, name)[name] is None
        assert settings_of(tmp_path, name, OPAMP_TRUSTED_PROXIES="1")[name] == ["HTTP_X_FORWARDED_PROTO", "https"]

    @pytest.mark.parametrize(
        ("environment", "secure"),
        [
            ({}, False),
            ({"CSRF_TRUSTED_ORIGINS": "https://portal.example.com"}, True),
            ({"CSRF_TRUSTED_ORIGINS": "https://portal.example.com", "SECURE_COOKIES": "false"}, False),
            ({"SECURE_COOKIES": "true"}, True),
        ],
    )
    def test_cookies_are_secure_by_a_setting_of_their_own(
        self, tmp_path: Path, environment: dict[str, str], secure: bool
    ) -> None:
        names = ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "LANGUAGE_COOKIE_SECURE")
        assert settings_of(tmp_path, *names, **environment) == dict.fromkeys(names, secure)

    def test_browsers_are_told_to_come_over_https_when_asked_for(self, tmp_path: Path) -> None:
        name = "SECURE_HSTS_SECONDS"
        assert settings_of(tmp_path, name)[name] == 0
        assert settings_of(tmp_path, name, HSTS_SECONDS="31536000")[name] == 31_536_000

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("OPAMP_ALLOWED_ORIGINS", "console.example.org"),
            ("OPAMP_ALLOWED_ORIGINS", "https://console.example.org/path"),
            ("OPAMP_ALLOWED_ORIGINS", "null"),
            ("OPAMP_TRUSTED_LABEL_KEYS", "env,two words"),
            ("SECURE_COOKIES", "perhaps"),
            ("OPAMP_ALLOW_ANONYMOUS_AGENTS", "some"),
        ],
    )
    def test_strange_values_are_named(self, tmp_path: Path, name: str, value: str) -> None:
        with pytest.raises(subprocess.CalledProcessError) as failed:
            settings_of(tmp_path, "DEBUG", **{name: value})
        assert name in failed.value.stderr
        assert "StrangeValue" in failed.value.stderr


@pytest.mark.django_db
class TestMetricsToken:
    TOKEN = "a-token-of-prometheus"

    @pytest.mark.parametrize(
        "shown", ["", "Bearer", "Bearer wrong", "Basic a-token-of-prometheus", "a-token-of-prometheus", "Bearer é"]
    )
    def test_without_it_401(self, client: Client, settings: Settings, shown: str) -> None:
        settings.METRICS_TOKEN = self.TOKEN
        answer = client.get("/metrics", headers={"authorization": shown} if shown else {})
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert b"opamp_" not in answer.content

    def test_with_it_they_are_read(self, client: Client, settings: Settings) -> None:
        settings.METRICS_TOKEN = self.TOKEN
        answer = client.get("/metrics", headers={"authorization": f"Bearer {self.TOKEN}"})
        assert answer.status_code == 200
        assert b"opamp_http_requests" in answer.content


@pytest.mark.django_db
@pytest.mark.parametrize(
    "target",
    ["//evil.example/", "https://evil.example/", "javascript:alert(1)", "/\\evil.example", "http:evil.example"],
)
def test_an_address_elsewhere_leads_to_the_portal(client: Client, alice: Any, target: str) -> None:
    alice.set_password("a-password-for-tests")
    alice.save()
    sent = {"username": alice.get_username(), "password": "a-password-for-tests", "next": target}
    answer = client.post("/admin/login/", sent)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")
    client.logout()
    answer = client.post("/admin/login/", {**sent, "next": "/admin/agents/agent/"})
    assert answer.headers["Location"] == "/admin/agents/agent/"
    language = client.post("/i18n/setlang/", {"language": "en", "next": target})
    assert language.headers["Location"] == "/"
