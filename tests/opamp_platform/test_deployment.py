"""The compose file and the image say what the product promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from moto.server import ThreadedMotoServer

from tests.live_server import ROOT

# Of the compose specification, those that make sense here; an unknown key is a misspelt one.
SERVICE_KEYS = {
    "build", "cap_add", "cap_drop", "command", "depends_on", "entrypoint", "environment", "healthcheck", "image", "ports",
    "profiles", "read_only", "restart", "security_opt", "stop_grace_period", "tmpfs", "ulimits", "volumes",
}  # fmt: skip


@pytest.fixture
def compose() -> dict[str, Any]:
    """The parsed compose file."""
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return parsed


def test_the_services(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {"platform", "postgres", "redis", "s3", "pgadmin"}
    assert services["postgres"]["image"].startswith("postgres:16.")
    assert services["redis"]["image"].startswith("redis:7.")
    assert services["pgadmin"]["profiles"] == ["tools"]
    assert set(services["platform"]["depends_on"]) == {"postgres", "redis", "s3"}


def test_only_the_portal_is_published_and_on_loopback_by_default(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert set(published) == {"platform", "pgadmin"}
    assert all("127.0.0.1" in port for ports in published.values() for port in ports)


def test_no_password_is_written_down(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|ACCESS_KEY|AUTH|TOKEN", name):
                assert re.fullmatch(r"\$\{\w+:[?-][^}]*\}", value), name
                assert not re.search(r":-[^}]", value), f"{name} has a default"


def test_volumes_and_names_agree(compose: dict[str, Any]) -> None:
    used = {volume.split(":")[0] for service in compose["services"].values() for volume in service.get("volumes", [])}
    assert used == set(compose["volumes"])


def test_every_variable_of_the_portal_is_read_by_its_settings(compose: dict[str, Any]) -> None:
    settings = (ROOT / "opamp_platform" / "settings.py").read_text(encoding="utf-8")
    for name in compose["services"]["platform"]["environment"]:
        assert f'"{name}"' in settings, name


def test_every_image_is_one_release(compose: dict[str, Any]) -> None:
    images = {name: service["image"] for name, service in compose["services"].items() if "build" not in service}
    base = re.search(r"^FROM (\S+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert base is not None
    for name, image in {**images, "platform": base[1]}.items():
        assert re.search(r":v?\d+\.\d+(\.\d+)?(-slim)?$", image), name


def test_every_container_is_confined(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert set(service.get("cap_add", [])) <= {
            "CHOWN", "DAC_OVERRIDE", "FOWNER", "NET_BIND_SERVICE", "SETGID", "SETUID",
        }, name  # fmt: skip
        # pgAdmin writes its configuration beside its code; it is a tool that is started by hand.
        assert service.get("read_only", False) is (name != "pgadmin"), name
    assert "cap_add" not in compose["services"]["platform"]


def test_redis_asks_for_a_password(compose: dict[str, Any]) -> None:
    services = compose["services"]
    required = "${REDIS_PASSWORD:?write it into .env}"
    command = services["redis"]["command"]
    assert command[command.index("--requirepass") + 1] == required
    assert services["platform"]["environment"]["REDIS_URL"] == f"redis://:{required}@redis:6379/0"
    assert services["redis"]["environment"]["REDISCLI_AUTH"] == required
    assert "PONG" in services["redis"]["healthcheck"]["test"][1]


def test_agents_are_asked_for_a_secret(compose: dict[str, Any]) -> None:
    environment = compose["services"]["platform"]["environment"]
    assert environment["OPAMP_SECRET_KEY"].startswith("${OPAMP_SECRET_KEY:?")
    assert "OPAMP_ALLOW_ANONYMOUS_AGENTS" not in environment


def test_whoever_is_waited_for_says_when_it_is_ready(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, wanted in services["platform"]["depends_on"].items():
        assert wanted == {"condition": "service_healthy"}, name
        check = services[name]["healthcheck"]
        assert check["test"][0] in {"CMD", "CMD-SHELL"}
        assert set(check) == {"test", "interval", "timeout", "retries"}


def test_the_file_has_only_what_compose_knows(compose: dict[str, Any]) -> None:
    assert set(compose) == {"name", "services", "volumes", "x-confined"}
    for name, service in compose["services"].items():
        assert set(service) <= SERVICE_KEYS, name
        assert all(isinstance(value, str) for value in service.get("environment", {}).values()), name
        assert all(re.fullmatch(r"[\w-]+:/[\w/.-]+", volume) for volume in service.get("volumes", [])), name


def test_the_portal_is_stopped_no_sooner_than_it_needs(compose: dict[str, Any]) -> None:
    assert int(compose["services"]["platform"]["stop_grace_period"].removesuffix("s")) > 20


def test_files_go_to_an_object_store_when_one_is_configured(tmp_path: Path) -> None:
    store = ThreadedMotoServer("127.0.0.1", 0)
    store.start()
    try:
        host, port = store.get_host_and_port()
        environment = {
            **os.environ, "DATA_DIR": str(tmp_path), "DATABASE_URL": "", "REDIS_URL": "", "AWS_DEFAULT_REGION": "us-east-1",
            "S3_ENDPOINT_URL": f"http://{host}:{port}", "S3_BUCKET": "opamp", "S3_ACCESS_KEY": "a", "S3_SECRET_KEY": "b",
        }  # fmt: skip
        urllib.request.urlopen(
            urllib.request.Request(f"http://{host}:{port}/opamp", method="PUT", headers={"Host": "s3"})
        ).close()
        done = subprocess.run(
            [sys.executable, "manage.py", "shell", "--no-imports", "-c", STORE_AND_READ],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    finally:
        store.stop()
    assert done.stdout == "b'content' True False ok\n", done.stderr
    assert not (tmp_path / "files").exists()


STORE_AND_READ = """
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage as storage
from opamp_platform.operations.health import _storage
name = storage.save("packages/a.bin", ContentFile(b"content"))
print(storage.open(name).read(), storage.exists(name), end=" ")
storage.delete(name)
print(storage.exists(name), _storage()[0])
"""


def test_the_image_does_not_run_as_root_and_says_how_it_is() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^USER (?!root)", text, re.MULTILINE)
    assert "HEALTHCHECK" in text
    assert "--require-hashes" in text
