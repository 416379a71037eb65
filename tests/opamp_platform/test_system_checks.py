"""Mistakes in settings that the start must name."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from opamp_platform.system_checks import (
    agent_credentials_have_what_they_need,
    entry_points_are_closed,
    pool_holds_the_threads,
    several_workers,
)

SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": "x"}
POSTGRES = {"ENGINE": "django.db.backends.postgresql", "NAME": "x"}


@pytest.mark.parametrize(
    ("workers", "redis_url", "database", "expected"),
    [
        (1, "", SQLITE, []),
        (2, "redis://127.0.0.1/0", POSTGRES, []),
        (2, "", POSTGRES, ["opamp.E001"]),
        (2, "redis://127.0.0.1/0", SQLITE, ["opamp.E002"]),
        (2, "", SQLITE, ["opamp.E001", "opamp.E002"]),
    ],
)
@pytest.mark.filterwarnings("ignore:Overriding setting DATABASES:UserWarning")
def test_several_workers(
    settings: Settings, workers: int, redis_url: str, database: dict[str, str], expected: list[str]
) -> None:
    settings.WEB_CONCURRENCY, settings.REDIS_URL, settings.DATABASES = workers, redis_url, {"default": database}
    found = several_workers(None)
    assert [message.id for message in found] == expected
    assert all(message.hint for message in found)


@pytest.mark.parametrize(
    ("database", "threads", "expected"),
    [
        (SQLITE, 1, []),
        ({**POSTGRES, "OPTIONS": {"pool": {"max_size": 16}}}, 4, []),
        ({**POSTGRES, "OPTIONS": {"pool": {"max_size": 3}}}, 4, ["opamp.W003"]),
    ],
)
@pytest.mark.filterwarnings("ignore:Overriding setting DATABASES:UserWarning")
def test_pool_holds_the_threads(
    settings: Settings, database: dict[str, object], threads: int, expected: list[str]
) -> None:
    settings.DATABASES, settings.DATABASE_THREADS = {"default": database}, threads
    assert [message.id for message in pool_holds_the_threads(None)] == expected


@pytest.mark.parametrize(
    ("credentials", "secret", "offers", "expected"),
    [
        (False, "", False, []),
        (True, "secret", True, []),
        (True, "", True, ["opamp.E004"]),
        (True, "secret", False, ["opamp.E005"]),
        (False, "", None, []),
        (True, "secret", None, ["opamp.W008"]),
        (True, "", False, ["opamp.E004", "opamp.E005"]),
    ],
)
def test_agent_credentials_have_what_they_need(
    settings: Settings, credentials: bool, secret: str, offers: bool | None, expected: list[str]
) -> None:
    settings.OPAMP_AGENT_CREDENTIALS, settings.OPAMP_SECRET_KEY, settings.OPAMP_OFFER_HEARTBEAT = (
        credentials, secret, offers,
    )  # fmt: skip
    found = agent_credentials_have_what_they_need(None)
    assert [message.id for message in found] == expected
    assert all(message.hint for message in found)


@pytest.mark.parametrize(
    ("secret", "hosts", "expected"),
    [
        ("", ["*"], ["opamp.W006", "opamp.W007"]),
        ("secret", ["*"], ["opamp.W007"]),
        ("", ["portal.example.com"], ["opamp.W006"]),
        ("secret", ["portal.example.com"], []),
    ],
)
def test_doors_are_closed(settings: Settings, secret: str, hosts: list[str], expected: list[str]) -> None:
    settings.OPAMP_SECRET_KEY, settings.ALLOWED_HOSTS = secret, hosts
    found = entry_points_are_closed(None)
    assert [message.id for message in found] == expected
    assert all(message.hint for message in found)


@pytest.mark.parametrize(
    ("taken", "secret", "expected"),
    [(True, "", ["opamp.W006", "opamp.W020"]), (True, "secret", []), (False, "", ["opamp.W006"])],
)
def test_metrics_of_agents_that_anybody_may_write(
    settings: Settings, taken: bool, secret: str, expected: list[str]
) -> None:
    settings.OPAMP_OWN_TELEMETRY, settings.OPAMP_SECRET_KEY = taken, secret
    settings.ALLOWED_HOSTS = ["portal.example.com"]
    found = entry_points_are_closed(None)
    assert [message.id for message in found] == expected
    assert all(message.hint for message in found)
