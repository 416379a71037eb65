"""The compose file and the image say what the product promises."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.live_server import ROOT


@pytest.fixture
def compose() -> dict[str, Any]:
    """The parsed compose file."""
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return parsed


def test_the_services(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {"platform", "postgres", "redis", "s3", "pgadmin"}
    assert services["postgres"]["image"] == "postgres:16"
    assert services["redis"]["image"] == "redis:7"
    assert services["pgadmin"]["profiles"] == ["tools"]
    assert set(services["platform"]["depends_on"]) == {"postgres", "redis", "s3"}


def test_only_the_portal_is_published_and_on_loopback_by_default(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert set(published) == {"platform", "pgadmin"}
    assert all("127.0.0.1" in port for ports in published.values() for port in ports)


def test_no_password_is_written_down(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|ACCESS_KEY", name):
                assert re.fullmatch(r"\$\{\w+:[?-][^}]*\}", value), name
                assert not re.search(r":-[^}]", value), f"{name} has a default"


def test_volumes_and_names_agree(compose: dict[str, Any]) -> None:
    used = {volume.split(":")[0] for service in compose["services"].values() for volume in service.get("volumes", [])}
    assert used == set(compose["volumes"])


def test_every_variable_of_the_portal_is_read_by_its_settings(compose: dict[str, Any]) -> None:
    settings = (ROOT / "opamp_platform" / "settings.py").read_text(encoding="utf-8")
    for name in compose["services"]["platform"]["environment"]:
        assert f'"{name}"' in settings, name


def test_the_image_does_not_run_as_root_and_says_how_it_is() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^USER (?!root)", text, re.MULTILINE)
    assert "HEALTHCHECK" in text
    assert "--require-hashes" in text
