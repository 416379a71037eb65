"""What agents measured of themselves on the pages of the admin and over REST."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from agents.models import Agent, AgentPresence, ReportedState
from telemetry.models import LatestTelemetry
from telemetry.otlp import read_metrics
from telemetry.services.storing import Delivery, store
from tests.agents.admin_pages import LIST, page_of, shown
from tests.telemetry.otlp_requests import Export

pytestmark = pytest.mark.django_db


def known_agent(name: str) -> Agent:
    agent = Agent.objects.create(instance_uid=uuid4(), name=name)
    AgentPresence.objects.create(agent=agent, last_seen_at=timezone.now())
    ReportedState.objects.create(agent=agent)
    return agent


def measured(agent: Agent, *, cpu: float = 0.5, memory: float = 50e6, refused: float = 0.0, ago: float = 0.0) -> None:
    """Two requests, a minute apart."""
    now = timezone.now() - timedelta(seconds=ago)
    for minute in (0, 1):
        export = Export(agent.instance_uid, at=minute * 60)
        export.collector(cpu=minute * 60 * cpu, memory=memory, accepted=minute * 600, refused=minute * 60 * refused)
        received_at = now - timedelta(seconds=60 * (1 - minute))
        store([Delivery(read_metrics(export.body, as_json=False), None, received_at)])


class TestList:
    @pytest.fixture(autouse=True)
    def _switched_on(self, settings: Settings) -> None:
        settings.OPAMP_OWN_TELEMETRY = True

    def test_values_and_lines(self, admin_client: Client) -> None:
        measured(known_agent("busy"), cpu=0.5, refused=2)
        page = shown(admin_client, LIST)
        assert "50.0 %" in page
        assert "47.7 MB" in page
        assert "10.0/s" in page
        assert "refused 2.0/s" in page
        assert page.count('<svg class="spark"') == 3
        assert "style=" not in re.sub(r"<head>.*</head>", "", page)

    @pytest.mark.parametrize("said", [False, None])
    def test_there_are_no_columns_unless_they_are_asked_for(
        self, admin_client: Client, settings: Settings, said: bool | None
    ) -> None:
        settings.OPAMP_OWN_TELEMETRY = said
        measured(known_agent("busy"))
        assert 'class="spark"' not in shown(admin_client, LIST)
        assert "column-cpu" not in shown(admin_client, LIST)

    def test_who_stopped_is_told_apart(self, admin_client: Client) -> None:
        measured(known_agent("silent"), refused=2, ago=3_600)
        page = shown(admin_client, LIST)
        assert "It sends nothing any more." in page
        assert "refused" not in page

    @pytest.mark.parametrize(
        ("order", "names"),
        [
            ("7", ["b", "c", "a", "none"]),
            ("-7", ["a", "c", "b", "none"]),
            ("8", ["a", "c", "b", "none"]),
            ("-8", ["b", "c", "a", "none"]),
            ("-6.8", ["none", "c", "b", "a"]),
        ],
    )
    def test_in_order(self, admin_client: Client, order: str, names: list[str]) -> None:
        """Those that measured nothing come last, either way."""
        for name, cpu, memory in (("a", 0.9, 1e6), ("b", 0.1, 9e6), ("c", 0.5, 5e6)):
            measured(known_agent(name), cpu=cpu, memory=memory)
        known_agent("none")
        page = shown(admin_client, LIST, {"o": order})
        assert re.findall(r'<th class="field-title"><a [^>]*><span [^>]*>(\w+)', page) == names

    def test_every_page_is_reached(self, admin_client: Client) -> None:
        for number in range(120):
            agent = known_agent(f"agent-{number:03}")
            if number % 2:
                LatestTelemetry.objects.create(agent=agent, received_at=timezone.now(), memory=number % 7)
        seen: list[str] = []
        for number in (1, 2, 3):
            page = shown(admin_client, LIST, {"o": "-8", "p": str(number)})
            seen += re.findall(r">(agent-\d+)", re.sub("<head>.*</head>", "", page))
        assert len([*dict.fromkeys(seen)]) == 120

    def test_columns_cost_two_queries(
        self, admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries, settings: Settings
    ) -> None:
        for number in range(10):
            measured(known_agent(f"a{number}"))
        settings.OPAMP_OWN_TELEMETRY = False
        shown(admin_client, LIST)
        with django_assert_max_num_queries(100) as without:
            shown(admin_client, LIST)
        settings.OPAMP_OWN_TELEMETRY = True
        with django_assert_max_num_queries(len(without) + 2):
            shown(admin_client, LIST)


class TestPage:
    def test_charts_and_tables(self, admin_client: Client) -> None:
        agent = known_agent("busy")
        measured(agent)
        page = shown(admin_client, page_of(agent))
        assert page.count('<svg class="chart"') == 12
        assert 'role="img" aria-label="CPU (share of a core): latest 50.0 %, highest 50.0 %, mean 50.0 %"' in page
        assert "24 hours" in page
        assert "7 days" in page
        assert page.count("As a table") == 2
        assert "nothing was measured" in page  # no exporter failed

    def test_nothing(self, admin_client: Client, settings: Settings) -> None:
        agent = known_agent("quiet")
        for said in (False, None, True):
            settings.OPAMP_OWN_TELEMETRY = said
            page = shown(admin_client, page_of(agent))
            assert "The agent has sent no metrics of its own." in page
            assert ("OPAMP_OWN_TELEMETRY=true" in page) is (said is False)

    def test_huge_values(self, admin_client: Client) -> None:
        agent = known_agent("huge")
        measured(agent, cpu=1e15, memory=1e18)
        assert shown(admin_client, page_of(agent)).count('<svg class="chart"') == 12


class TestRest:
    def url(self, agent: Agent) -> str:
        return f"/api/v1/agents/{agent.instance_uid}/telemetry"

    def test_latest_and_points(self, admin_client: Client) -> None:
        agent = known_agent("busy")
        measured(agent)
        answer = admin_client.get(self.url(agent)).json()
        assert answer["resolution"] == 300
        assert answer["latest"]["cpu"] == 0.5
        assert answer["latest"]["failed"] is None
        assert answer["points"][-1]["memory"] == 50e6
        assert {*answer["points"][-1]} == {"at", "cpu", "memory", "accepted", "refused", "failed", "queue"}

    def test_nothing(self, admin_client: Client) -> None:
        assert admin_client.get(self.url(known_agent("quiet"))).json() == {
            "resolution": 300,
            "latest": None,
            "points": [],
        }

    def test_since_and_resolution(self, admin_client: Client) -> None:
        agent = known_agent("busy")
        measured(agent)
        measured(agent, ago=86_400 * 3)
        get: Any = admin_client.get
        asked = {"resolution": "3600"}
        assert len(get(self.url(agent), asked).json()["points"]) in {1, 2}
        since = (timezone.now() - timedelta(days=300)).isoformat()
        assert len(get(self.url(agent), {**asked, "since": since}).json()["points"]) >= 2
        future = (timezone.now() + timedelta(days=300)).isoformat()
        assert get(self.url(agent), {"since": future}).json()["points"] == []

    @pytest.mark.parametrize(
        "query", [{"since": "yesterday"}, {"resolution": "7"}, {"resolution": "x"}, {"until": "2026-01-01"}]
    )
    def test_bad_questions(self, admin_client: Client, query: dict[str, str]) -> None:
        answer = admin_client.get(self.url(known_agent("busy")), query)
        assert answer.status_code == 400
        assert [*query] == [*answer.json()["errors"]]

    @pytest.mark.parametrize("uid", ["x", "0190a000-0000-7000-8000-000000000001"])
    def test_no_such_agent(self, admin_client: Client, uid: str) -> None:
        assert admin_client.get(f"/api/v1/agents/{uid}/telemetry").status_code == 404

    def test_filter(self, admin_client: Client) -> None:
        measured(known_agent("busy"))
        known_agent("quiet")

        def names(value: str) -> list[str]:
            return [row["name"] for row in admin_client.get("/api/v1/agents", {"telemetry": value}).json()["results"]]

        assert names("true") == ["busy"]
        assert names("false") == ["quiet"]
