"""The panels of the overview: what leads where, and what is only for those who may."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents.admin.fleet_overview import status_bar
from agents.models import Agent, FleetSample
from agents.reports import Status
from agents.services.fleet_samples import COUNTS
from foundation import overview
from foundation.overview import OverviewPanel, overview_panels, register_overview_panel

pytestmark = pytest.mark.django_db


def shown(client: Any, **query: str) -> str:
    answer = client.get("/admin/", query)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", answer.content.decode())


def panel(body: str, name: str) -> str:
    found = re.search(rf'<section class="panel[^"]*" id="overview-{name}">(.*?)</section>', body)
    assert found, name
    return found[1]


def test_errors_lead_to_exactly_their_agents_and_are_offered_once_more(signed_in, client, bob, report):
    for name, reason in (("a", "disk & <full>"), ("b", "disk & <full>"), ("c", "other")):
        agent = report(name, healthy=False)
        Agent.objects.filter(pk=agent.pk).update(last_error=reason)
    errors = panel(shown(signed_in), "errors")
    links = dict(re.findall(r'<a href="([^"]*)">(\d) agents?</a>', errors))
    url = next(html.unescape(url) for url, number in links.items() if number == "2")
    listed = signed_in.get(url).content.decode()
    assert len(re.findall(r'class="action-select"', listed)) == 2
    assert "<full>" not in errors
    form = re.search(rf'<form method="post" action="{re.escape(html.escape(url))}">(.*?)</form>', errors)
    assert form
    fields = dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">', form[1]))
    fields.pop("csrfmiddlewaretoken", None)
    asked = signed_in.post(url, fields)
    assert asked.status_code == 200
    assert "Offer the configuration once more" in asked.content.decode()


def test_nothing_stands_where_there_is_nothing_to_say(signed_in, report):
    body = shown(signed_in)
    assert "overview-errors" not in body
    assert "overview-rollouts" not in body


def test_versions_are_compared_with_the_newest(signed_in, report):
    for name, version in (("a", "0.139.0"), ("b", "0.128.0"), ("c", "0.128.0"), ("d", "odd")):
        Agent.objects.filter(pk=report(name).pk).update(version=version)
    versions = panel(shown(signed_in), "versions")
    assert versions.index("0.139.0") < versions.index("0.128.0") < versions.index("odd")
    assert "newest here" in versions
    assert "1 version behind" in versions
    assert '<a href="/admin/agents/agent/?version=0.128.0">2</a>' in versions


def test_the_fleet_over_time_is_a_table_too(signed_in, report):
    report("a")
    now = datetime.now(UTC)
    FleetSample.objects.create(step=60, at=now - timedelta(minutes=5), **dict.fromkeys(COUNTS, 7))
    FleetSample.objects.create(step=900, at=now - timedelta(days=3), **dict.fromkeys(COUNTS, 9))
    day = shown(signed_in)
    assert day.count("<td>7</td>") == len(COUNTS)
    week = shown(signed_in, history="7d")
    assert week.count("<td>9</td>") == len(COUNTS)
    assert '<a href="?history=7d#history" aria-current="true">' in week
    assert 'aria-current="true">24 hours' in shown(signed_in, history="7000d")


def test_each_segment_can_be_seen_and_they_fill_the_bar():
    segments = status_bar({Status.ERROR: 1, Status.CONFIGURING: 0, Status.CONNECTED: 9_999, Status.DISCONNECTED: 0})
    assert [part["status"] for part in segments] == ["error", "connected"]
    assert segments[0]["width"] >= 5
    assert sum(part["width"] for part in segments) == 1_000
    assert status_bar(dict.fromkeys(Status, 0)) == []


def test_apps_bring_panels_in_order(signed_in, monkeypatch):
    monkeypatch.setattr(overview, "_panels", {})
    for name, rank in (("later", 9), ("first", 1)):
        register_overview_panel(OverviewPanel(name, "overview/failures.html", lambda _request: {"lines": []}, rank))
    register_overview_panel(OverviewPanel("silent", "overview/failures.html", lambda _request: None))
    assert [each.name for each in overview_panels()] == ["first", "later", "silent"]
    assert re.findall(r'id="overview-(\w+)"', shown(signed_in)) == ["first", "later"]
