"""What a person prefers: kept, judged, audited, and followed by pages."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from accounts.models import AuditEntry, User
from accounts.preferences import save_preferences, time_zones
from agents.models import AgentPresence

pytestmark = pytest.mark.django_db
PAGE = "/admin/preferences/"
REST = "/api/v1/me/preferences"
FORM = {
    "language": "zh-hans",
    "time_zone": "Asia/Shanghai",
    "density": "compact",
    "start_page": "agents",
    "shortcuts": "on",
}


@pytest.fixture
def person(client, bob) -> User:
    client.force_login(bob)
    return bob


def test_they_are_kept_with_one_entry_in_the_trail(client, person):
    body = client.get(PAGE).content.decode()
    assert "Europe/Berlin" in body
    assert client.post(PAGE, FORM)["Location"] == PAGE
    assert client.post(PAGE, FORM).status_code == 302
    person.refresh_from_db()
    assert (person.language, person.time_zone, person.density) == ("zh-hans", "Asia/Shanghai", "compact")
    (entry,) = AuditEntry.objects.filter(verb="user.preferences")
    assert entry.actor == person
    assert entry.data["after"] == {
        "language": "zh-hans", "time_zone": "Asia/Shanghai", "density": "compact", "start_page": "agents",
    }  # fmt: skip
    assert entry.data["before"]["density"] == "comfortable"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("language", "tlh"),
        ("time_zone", "../etc/passwd"),
        ("density", ""),
        ("start_page", "//evil"),
        ("time_zone", "x" * 999),
    ],
)
def test_what_there_is_not_is_refused_on_both_ways(client, person, field, value):
    answer = client.post(PAGE, {**FORM, field: value})
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    refused = client.patch(REST, {field: value}, content_type="application/json")
    assert refused.status_code == 400
    assert list(refused.json()["errors"]) == [field]
    person.refresh_from_db()
    assert (person.language, person.start_page) == ("", "overview")


def test_rest_changes_what_is_named_alone(client, person):
    assert client.get(REST).json() == {
        "language": "", "time_zone": "", "density": "comfortable", "start_page": "overview", "shortcuts": True,
    }  # fmt: skip
    answer = client.patch(REST, {"time_zone": "Europe/Berlin", "shortcuts": False}, content_type="application/json")
    assert answer.json()["time_zone"] == "Europe/Berlin"
    assert client.get(REST).json()["shortcuts"] is False
    assert client.patch(REST, {"colour": "red"}, content_type="application/json").status_code == 400


def test_nobody_else_has_them(client):
    assert client.get(REST).status_code == 401
    assert client.get(PAGE).status_code == 302


def test_pages_are_in_the_language_whatever_the_browser_asks(client, person):
    save_preferences(person, {"language": "zh-hans"})
    body = client.get("/admin/", HTTP_ACCEPT_LANGUAGE="en").content.decode()
    assert '<html lang="zh-hans"' in body
    # Whoever switches it at the head of the page has chosen another one.
    client.post("/i18n/setlang/", {"language": "en"})
    person.refresh_from_db()
    assert person.language == "en"
    assert '<html lang="en"' in client.get("/admin/", HTTP_ACCEPT_LANGUAGE="zh-hans").content.decode()
    client.post("/i18n/setlang/", {"language": "tlh"})
    person.refresh_from_db()
    assert person.language == "en"


def test_switching_leaves_who_has_chosen_none_without_one(client, person):
    client.post("/i18n/setlang/", {"language": "zh-hans"})
    person.refresh_from_db()
    assert person.language == ""


def test_times_are_those_of_the_place_and_exact_on_hover(client, person, report):
    agent = report("a")
    at = datetime(2026, 1, 15, 22, 30, tzinfo=UTC)
    AgentPresence.objects.filter(agent=agent).update(last_seen_at=at)
    body = client.get("/admin/agents/agent/").content.decode()
    assert "2026-01-15 22:30:00 UTC" in body
    assert '<meta name="portal-time-zone" content="UTC">' in body
    save_preferences(person, {"time_zone": "Asia/Shanghai"})
    body = client.get("/admin/agents/agent/").content.decode()
    assert re.search(r'<time datetime="2026-01-16T06:30:00\+08:00" title="2026-01-16 06:30:00 CST">', body)
    assert '<meta name="portal-time-zone" content="Asia/Shanghai">' in body


def test_a_zone_that_is_no_more_is_the_servers(client, person, report):
    report("a")
    User.objects.filter(pk=person.pk).update(time_zone="Atlantis/Capital", language="tlh")
    assert client.get("/admin/agents/agent/").status_code == 200


def test_lists_are_as_dense_as_wanted_and_keys_can_be_switched_off(client, person):
    body = client.get("/admin/").content.decode()
    assert "density-comfortable" in body
    assert 'id="shortcuts"' in body
    save_preferences(person, {"density": "compact", "shortcuts": False})
    body = client.get("/admin/").content.decode()
    assert "density-compact" in body
    assert "shortcuts" not in body


def test_signing_in_leads_to_the_start_page_or_where_one_was_going(client, alice):
    password = "a-password-for-this-test"
    alice.set_password(password)
    alice.save()
    save_preferences(alice, {"start_page": "agents"})
    sent = {"username": alice.username, "password": password, "next": "/admin/"}
    assert client.post("/admin/login/", sent)["Location"] == "/admin/agents/agent/"
    client.post("/admin/logout/")
    going = "/admin/rollouts/rollout/"
    assert client.post("/admin/login/", {**sent, "next": going})["Location"] == going


def test_zones_are_places():
    assert {"UTC", "Europe/Berlin", "Asia/Shanghai"} <= set(time_zones())
    assert "localtime" not in time_zones()
