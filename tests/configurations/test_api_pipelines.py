"""Pipelines over REST: what stands in a configuration, what an agent says it runs, and what is none of a Collector's."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from agents.models import Agent
from agents.reports import ComponentHealth, EffectiveConfig
from telemetry.models import LatestTelemetry
from tests.configurations.test_pipeline_graph import TWO

pytestmark = pytest.mark.django_db(transaction=True)


def made(api: Any, text: str, **fields: Any) -> None:
    body = {"name": "c", "raw_config": text, "selector": {"env": "prod"}, **fields}
    assert api.post("/api/v1/configurations?force=true", body, format="json").status_code == 201


def test_of_a_configuration(api_of, alice, bob):
    made(api_of(alice), TWO)
    found = api_of(bob).get("/api/v1/configurations/c/pipelines").json()
    assert found["readable"] is True
    assert found["left_out"] == 0
    assert [(lane["name"], lane["signal"]) for lane in found["pipelines"]] == [
        ("traces", "traces"),
        ("metrics", "metrics"),
    ]
    traces = found["pipelines"][0]
    assert [item["name"] for item in traces["processors"]] == ["memory_limiter", "batch"]
    assert traces["receivers"] == [
        {"name": "otlp", "connector": False, "file": "", "line": 2, "healthy": None, "status": "", "rate": None}
    ]
    assert [(item["name"], item["connector"]) for item in traces["exporters"]] == [("debug", False), ("count", True)]
    assert found["joins"] == [{"connector": "count", "exported_by": "traces", "received_by": "metrics"}]


def test_what_nothing_defines_has_no_line(api_of, alice):
    made(api_of(alice), "service: {pipelines: {logs: {receivers: [nowhere], exporters: [debug]}}}\n", force=True)
    member = api_of(alice).get("/api/v1/configurations/c/pipelines").json()["pipelines"][0]["receivers"][0]
    assert (member["name"], member["file"], member["line"]) == ("nowhere", None, None)


def test_what_is_no_collectors_has_none(api_of, alice):
    made(api_of(alice), "just: text\n", force=True)
    assert api_of(alice).get("/api/v1/configurations/c/pipelines").json() == {
        "readable": False,
        "pipelines": [],
        "joins": [],
        "left_out": 0,
    }


def test_of_an_agent_with_health(api_of, bob, report):
    traces = {"receiver:otlp": {"healthy": True}, "exporter:debug": {"healthy": False, "last_error": "full"}}
    agent = report(
        effective_config=EffectiveConfig({"": {"body": TWO}}),
        health=ComponentHealth(False, "", "", 0, 0, {"components": {"pipeline:traces": {"components": traces}}}),
    )
    found = api_of(bob).get(f"/api/v1/agents/{agent.instance_uid}/pipelines").json()
    lane = found["pipelines"][0]
    assert lane["receivers"][0]["healthy"] is True
    assert (lane["exporters"][0]["healthy"], lane["exporters"][0]["status"]) == (False, "full")
    assert lane["processors"][0]["healthy"] is None


def test_of_an_agent_that_sends_its_own_metrics(api_of, bob, report):
    agent = report(effective_config=EffectiveConfig({"": {"body": TWO}}))
    flows = {"receivers traces otlp": [10.0, 1, 2.5]}
    LatestTelemetry.objects.create(agent=agent, received_at=timezone.now(), flows=flows)
    lane = api_of(bob).get(f"/api/v1/agents/{agent.instance_uid}/pipelines").json()["pipelines"][0]
    assert lane["receivers"][0]["rate"] == 2.5
    assert lane["exporters"][0]["rate"] is None


def test_the_page_of_an_agent_shows_rates(signed_in, report):
    agent = report(effective_config=EffectiveConfig({"": {"body": TWO}}))
    flows = {"receivers traces otlp": [10.0, 1, 2.5]}
    LatestTelemetry.objects.create(agent=agent, received_at=timezone.now(), flows=flows)
    page = signed_in.get(f"/admin/agents/agent/{agent.pk}/change/").content.decode()
    assert page.count("2.5/s") == 3, "in the picture, its title and the table"


def test_an_agent_that_reports_no_configuration(api_of, bob, report):
    agent = report()
    found = api_of(bob).get(f"/api/v1/agents/{agent.instance_uid}/pipelines").json()
    assert (found["readable"], found["pipelines"]) == (False, [])


@pytest.mark.parametrize("path", ["configurations/none/pipelines", "agents/no-uid/pipelines"])
def test_of_nothing(api_of, bob, path):
    assert api_of(bob).get(f"/api/v1/{path}").status_code == 404


def test_unknown_parameters_are_refused(api_of, alice):
    made(api_of(alice), TWO)
    assert api_of(alice).get("/api/v1/configurations/c/pipelines?revision=1").status_code == 400


def test_charlie_may_not(api_of, alice, charlie, report):
    made(api_of(alice), TWO)
    agent: Agent = report()
    for path in ("configurations/c/pipelines", f"agents/{agent.instance_uid}/pipelines"):
        assert api_of(charlie).get(f"/api/v1/{path}").status_code == 403
