"""Since when versions are here: noted once, never earlier than known, and bounded."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents.models import Agent, SeenVersion
from agents.services import fleet_versions as services
from agents.services.fleet_versions import fleet_versions, note_versions
from foundation.clock import clock
from tests.opamp_platform.test_overview import panel, shown

pytestmark = pytest.mark.django_db
NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def agent(db: None) -> Callable[[str], Agent]:
    return lambda version: Agent.objects.create(instance_uid=uuid.uuid4(), name="a", version=version)


def test_what_was_there_at_the_beginning_is_older_and_what_comes_is_not(agent: Callable[[str], Agent]) -> None:
    agent("1.0")
    agent("")
    note_versions(NOW)
    agent("1.1")
    note_versions(NOW + timedelta(days=1))
    note_versions(NOW + timedelta(days=2))
    rows = {row.version: (row.first_seen_at, row.since_earlier) for row in SeenVersion.objects.all()}
    assert rows == {"1.0": (NOW, True), "1.1": (NOW + timedelta(days=1), False)}


def test_behind_for_as_long_as_the_first_newer_one_is_here(agent: Callable[[str], Agent]) -> None:
    for days, version in enumerate(("1.0", "1.2", "1.1", "odd")):
        agent(version)
        note_versions(NOW + timedelta(days=days))
    agent("1.3")
    rows = {row.version: row for row in fleet_versions()}
    assert [(row.version, row.behind) for row in fleet_versions()] == [
        ("1.3", 0), ("1.2", 1), ("1.1", 2), ("1.0", 3), ("odd", None),
    ]  # fmt: skip
    assert rows["1.3"].seen is None
    assert rows["1.2"].newer is None
    assert rows["1.1"].newer.version == "1.2"
    assert rows["1.0"].newer.version == "1.2"
    assert rows["odd"].newer is None


def test_rows_are_bounded_and_those_of_the_fleet_stay(
    agent: Callable[[str], Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "MOST_KEPT", 3)
    kept = agent("1.0")
    note_versions(NOW)
    for number in range(6):
        Agent.objects.exclude(pk=kept.pk).delete()
        agent(f"2.{number}")
        note_versions(NOW + timedelta(days=number + 1))
    assert set(SeenVersion.objects.values_list("version", flat=True)) == {"1.0", "2.4", "2.5"}


def test_on_the_overview_and_over_rest(signed_in: Any, agent: Callable[[str], Agent]) -> None:
    agent("1.0")
    note_versions(clock.now() - timedelta(days=20))
    agent("1.1")
    note_versions(clock.now() - timedelta(days=10))
    body = panel(shown(signed_in), "versions")
    assert "1 version behind" in body
    assert body.count("a newer one came") == 1
    assert body.count("first seen") == 1
    day = (clock.now() - timedelta(days=20)).strftime("%Y-%m-%d")
    assert re.search(rf"since <time [^>]*>{day}</time> or earlier", body)
    assert "already" not in body
    signed_in.cookies["django_language"] = "zh-hans"
    assert re.search(rf"<time [^>]*>{day}</time> 或更早已存在", panel(shown(signed_in), "versions"))
    assert "1 week ago" in body
    newest, older = signed_in.get("/api/v1/agents/summary/versions").json()
    assert (newest["version"], newest["versions_behind"], newest["newer_since"]) == ("1.1", 0, None)
    assert older["newer_since"] == newest["first_seen_at"]
    assert (older["seen_since_earlier"], newest["seen_since_earlier"]) == (True, False)
