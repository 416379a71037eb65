"""The contract with outside programs: commands and environment variables. What `test_serve`, `test_exposure` and `test_deployment`
hold the portal to is not said twice.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from opamp_platform.management.commands.serve import Command
from tests.live_server import ROOT, LiveServer
from tests.opamp_platform.contract import ask

# Each variable, something that can be meant by it, and what the setting of that name is then.
VARIABLES: dict[str, tuple[str, Any]] = {
    "SECRET_KEY": ("k" * 50, "k" * 50),
    "DEBUG": ("true", True),
    "ALLOWED_HOSTS": ("portal.example, localhost", ["portal.example", "localhost"]),
    "CSRF_TRUSTED_ORIGINS": ("https://portal.example", ["https://portal.example"]),
    "OPAMP_SECRET_KEY": ("of-the-agents", "of-the-agents"),
    "OPAMP_ALLOW_ANONYMOUS_AGENTS": ("true", True),
    "OPAMP_MAX_MESSAGE_SIZE": ("1MiB", 1024**2),
    "OPAMP_HEARTBEAT_SECONDS": ("20", 20),
    "S3_ENDPOINT_URL": ("http://s3.example:7070", "http://s3.example:7070"),
    "S3_BUCKET": ("files", "files"),
    "S3_ACCESS_KEY": ("who", "who"),
    "S3_SECRET_KEY": ("what", "what"),
    "WEB_CONCURRENCY": ("3", 3),
    "REDIS_URL": ("redis://redis.example:6379/1", "redis://redis.example:6379/1"),
    "ADMIN_USERNAME": ("root", "root"),
    "ADMIN_PASSWORD": ("of-the-admin", "of-the-admin"),
}
DEFAULTS = {
    "DEBUG": False, "OPAMP_SECRET_KEY": "", "OPAMP_ALLOW_ANONYMOUS_AGENTS": False, "OPAMP_MAX_MESSAGE_SIZE": 64 * 1024**2,
    "OPAMP_HEARTBEAT_SECONDS": 30, "S3_BUCKET": "", "REDIS_URL": "", "WEB_CONCURRENCY": 1, "ADMIN_USERNAME": "admin",
}  # fmt: skip
DATABASE = "postgres://opamp:pass@db.example:5433/fleet"
PRINT = """
import json, sys
from opamp_platform import settings
found = {name: getattr(settings, name) for name in sys.argv[1].split(",")}
found["database"] = {name: str(settings.DATABASES["default"].get(name)) for name in ("ENGINE", "HOST", "NAME")}
found["store"] = settings.STORAGES["default"]["BACKEND"]
found["data"] = str(settings.DATA_DIR)
print(json.dumps(found))
"""


def settings_of(environment: dict[str, str], *names: str) -> dict[str, Any]:
    """Settings as a process with this environment reads them."""
    ours = {*VARIABLES, "DATA_DIR", "DATABASE_URL", "OPAMP_PORT"}
    kept = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in ours}
    done = subprocess.run(
        [sys.executable, "-c", PRINT, ",".join(names)],
        cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class TestEnvironment:
    @pytest.mark.parametrize("in_files", [False, True])
    def test_every_variable_is_read_and_so_is_the_file_that_it_may_name(self, tmp_path: Path, in_files: bool) -> None:
        data = tmp_path / "data"
        said = {name: text for name, (text, _value) in VARIABLES.items()}
        said |= {"DATABASE_URL": DATABASE, "DATA_DIR": str(data)}
        if in_files:
            for name, text in said.items():
                (tmp_path / name).write_text(f"{text}\n", encoding="utf-8")
            said = {f"{name}_FILE": str(tmp_path / name) for name in said}
        found = settings_of(said, *VARIABLES)
        assert {name: found[name] for name in VARIABLES} == {name: value for name, (_text, value) in VARIABLES.items()}
        assert found["data"] == str(data)
        assert found["database"] == {"ENGINE": "django.db.backends.postgresql", "HOST": "db.example", "NAME": "fleet"}
        assert found["store"].endswith("BoundedBucket")

    def test_without_any_it_is_sqlite_memory_and_files_below_data_dir(self, tmp_path: Path) -> None:
        found = settings_of({"DATA_DIR": str(tmp_path)}, *DEFAULTS, "SECRET_KEY", "CHANNEL_LAYERS")
        assert {name: found[name] for name in DEFAULTS} == DEFAULTS
        assert found["database"]["ENGINE"] == "django.db.backends.sqlite3"
        assert found["database"]["NAME"].startswith(str(tmp_path))
        assert found["CHANNEL_LAYERS"]["default"]["BACKEND"] == "channels.layers.InMemoryChannelLayer"
        assert found["store"].endswith("FileSystemStorage")
        # Made once, and kept from others.
        assert len(found["SECRET_KEY"]) >= 50
        assert settings_of({"DATA_DIR": str(tmp_path)}, "SECRET_KEY")["SECRET_KEY"] == found["SECRET_KEY"]
        (kept,) = [path for path in tmp_path.iterdir() if path.is_file() and found["SECRET_KEY"] in path.read_text()]
        assert kept.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
class TestMake:
    def planned(self, *arguments: str) -> list[str]:
        """What make would do by itself, although the make that runs the tests, or a shell, may have set its variables."""
        outside = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MAKE", "MFLAGS", "ARGS", "PYTEST")) and name not in {"HOST", "PORT"}
        }
        done = subprocess.run(
            ["make", "-n", *arguments], cwd=ROOT, env=outside, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    @pytest.mark.parametrize(("given", "port"), [([], "8080"), (["PORT=9000"], "9000")])
    def test_run_serves_on_loopback_at_the_port_that_is_asked_for(self, given: list[str], port: str) -> None:
        *_, last = self.planned("run", *given)
        assert last.endswith(f"manage.py serve --host 127.0.0.1 --port {port}")

    def test_install_takes_the_lock_and_nothing_else(self) -> None:
        steps = [line for line in self.planned("-W", "requirements/dev.lock", "install") if " install " in line]
        assert len(steps) == 1
        assert steps[0].split(" install ")[1].split() == [
            "-q", "--disable-pip-version-check", "--require-hashes", "--no-deps", "-r", "requirements/dev.lock",
        ]  # fmt: skip

    def test_the_tests_stand_on_it(self) -> None:
        assert any("pytest" in line for line in self.planned("test"))


class TestServe:
    def test_its_options_and_what_they_are_by_default(self) -> None:
        parser = Command().create_parser("manage.py", "serve")
        plain = vars(parser.parse_args([]))
        assert {name: plain[name] for name in ("host", "port", "opamp_port", "no_migrate")} == {
            "host": "127.0.0.1",
            "port": 8080,
            "opamp_port": None,
            "no_migrate": False,
        }
        said = ["--host", "0.0.0.0", "--port", "9000", "--workers", "3", "--no-migrate", "--opamp-port", "4320"]
        given = vars(parser.parse_args(said))
        assert (given["host"], given["port"], given["workers"], given["no_migrate"]) == ("0.0.0.0", 9000, 3, True)
        assert given["opamp_port"] == 4320

    def test_without_migrating_it_leaves_the_schema_alone(self, tmp_path: Path) -> None:
        server = LiveServer(tmp_path, migrated=False)
        if server.environment["DATABASE_URL"]:
            pytest.skip("the schema is looked at in a file")
        done = subprocess.run(
            [sys.executable, "manage.py", "serve", "--port", str(server.port), "--no-migrate"],
            cwd=ROOT, env=server.environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert "The database lacks" in done.stderr
        assert "Traceback" not in done.stderr

    def test_without_migrating_it_serves_what_is_migrated(self, tmp_path: Path) -> None:
        with LiveServer(tmp_path, "--no-migrate") as server:
            assert ask(server, "GET", "/health", token="").json["checks"]["migrations"]["status"] == "ok"


class TestTokens:
    @pytest.mark.parametrize("options", [[], ["--user", "admin"]])
    def test_the_token_stands_alone_on_stdout_and_is_good(self, shared_portal: LiveServer, options: list[str]) -> None:
        printed = shared_portal.manage("create_token", "ci", *options)
        token = printed.removesuffix("\n")
        assert token.split() == [token]
        assert ask(shared_portal, "GET", "/api/v1/agents", token=token).status == 200

    def test_of_nobody_there_is_none(self, shared_portal: LiveServer) -> None:
        done = subprocess.run(
            [sys.executable, "manage.py", "create_token", "ci", "--user", "nobody"],
            cwd=ROOT, env=shared_portal.environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (1, "")
        assert "nobody" in done.stderr


class TestManifestCommands:
    def test_what_is_exported_is_applied_without_a_change(self, shared_portal: LiveServer, tmp_path: Path) -> None:
        body = {"name": "in-git", "raw_config": "a: 1\n", "selector": {"env": "git"}}
        shared_portal.post("configurations", body)
        shared_portal.manage("export_configurations", str(tmp_path / "fleet"))
        assert (tmp_path / "fleet" / "in-git" / "configuration.yaml").exists()
        assert "unchanged" in shared_portal.manage("apply_configurations", str(tmp_path / "fleet"), "--dry-run")
