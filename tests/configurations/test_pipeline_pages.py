"""Pages that draw pipelines: a configuration's, the comparison, the confirmation of an edit, an agent's."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from agents.reports import ComponentHealth, EffectiveConfig
from configurations.services.publishing import create_configuration
from tests.configurations.drafts import publish_again, published, wanted
from tests.configurations.test_pipeline_graph import TWO
from tests.html_forms import fields_of

pytestmark = pytest.mark.django_db
AT = datetime(2026, 2, 3, tzinfo=UTC)


def body_of(client: Client, url: str, data: dict[str, Any] | None = None) -> str:
    answer = client.get(url, data or {})
    assert answer.status_code == 200
    return answer.content.decode()


def nodes(body: str) -> dict[str, str]:
    """The classes of drawn components by title."""
    return {
        title: " ".join(classes.split())
        for classes, title in re.findall(r'<g class="node ([^"]*)"[^>]*>\s*<title>([^<]*)</title>', body)
    }


def test_the_graph_leads_from_components_to_their_lines(signed_in: Client) -> None:
    row = published("prod", TWO)
    body = body_of(signed_in, reverse("admin:configurations_configuration_change", args=[row.pk]), {"tab": "graph"})
    assert nodes(body)["otlp"] == "receivers"
    assert '<a href="#graph-file-1" data-line="2" tabindex="-1">' in body
    # As a table, for whoever reads no pictures.
    assert '<a href="#graph-file-1" data-line="4"><code>batch</code></a>' in body


def test_a_configuration_without_pipelines_has_no_picture(signed_in: Client) -> None:
    row = published("prod", "a: 1\n")
    body = body_of(signed_in, reverse("admin:configurations_configuration_change", args=[row.pk]), {"tab": "graph"})
    assert '<div class="pipelines"' not in body
    assert "It has no pipelines that can be shown." in body


def test_names_are_escaped(signed_in: Client) -> None:
    odd = wanted("service: {pipelines: {'<b>': {receivers: ['<i>x']}}}\n")
    row = create_configuration("prod", odd, by=None, at=AT, force=True)[0]
    body = body_of(signed_in, reverse("admin:configurations_configuration_change", args=[row.pk]), {"tab": "graph"})
    assert "&lt;i&gt;x" in body
    assert "<i>x" not in body


def test_the_comparison_marks_what_changed(signed_in: Client) -> None:
    published("prod", TWO)
    publish_again("prod", TWO.replace("[memory_limiter, batch]", "[batch]"))
    sides = {"left": "configuration:prod@1", "right": "configuration:prod@2"}
    body = body_of(signed_in, reverse("admin:compare"), sides)
    assert nodes(body)["memory_limiter"] == "processors removed"
    assert nodes(body)["batch"] == "processors"
    assert "<del>removed</del>" in body


def test_the_confirmation_shows_them_before_anything_is_published(signed_in: Client) -> None:
    row = published("prod", TWO)
    url = reverse("admin:configurations_configuration_change", args=[row.pk])
    posted = fields_of(body_of(signed_in, url))
    posted["raw_config"] = TWO.replace("[memory_limiter, batch]", "[memory_limiter]")
    answer = signed_in.post(url, posted)
    assert answer.status_code == 200
    drawn = nodes(answer.content.decode())
    assert drawn["batch"] == "processors removed"


def test_an_agents_pipelines_with_their_health(signed_in: Client, report: Any) -> None:
    inner = {
        "receiver:otlp": {"healthy": True},
        "exporter:debug": {"healthy": False, "status": "StatusRecoverableError", "last_error": "no route to host"},
    }
    tree = {"healthy": False, "components": {"pipeline:traces": {"healthy": False, "components": inner}}}
    agent = report(
        effective_config=EffectiveConfig({"effective.yaml": {"body": TWO}}),
        health=ComponentHealth(False, "no route to host", "", 0, 0, tree),
    )
    body = body_of(signed_in, reverse("admin:agents_agent_change", args=[agent.pk]))
    drawn = nodes(body)
    assert drawn["debug: no route to host"] == "exporters ill"
    assert drawn["otlp"] == "receivers well"
    assert '<a href="#effective-1" data-line="2" tabindex="-1">' in body


def test_an_agent_that_said_nothing(signed_in: Client, report: Any) -> None:
    body = body_of(signed_in, reverse("admin:agents_agent_change", args=[report(effective_config=None).pk]))
    section = body[body.index('id="pipelines"') :]
    assert "has not reported what it runs" in section[:400]
