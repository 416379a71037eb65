"""Failures of a day by reason: each number is the agents that its query finds, whatever agents wrote."""

from __future__ import annotations

import html
import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from agents.models import Agent, AgentEvent
from agents.queries import InvalidQuery
from agents.query_conditions import agents_matching
from agents.query_words import query_words
from agents.recent_failures import Failures, failures_of_the_day, reason_shown
from configurations.admin import failures_overview
from foundation.clock import clock
from tests.opamp_platform.test_overview import panel, shown

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures_overview, "_kept", None)


@pytest.fixture
def failed(db: None) -> Callable[..., Agent]:
    """An agent on whose timeline such a line stands."""

    def make(
        kind: str = "failed", error: str | None = "disk full", *, hours: float = 1, agent: Any = None, **line: Any
    ) -> Agent:
        row = agent or Agent.objects.create(instance_uid=uuid.uuid4(), name="a", connected=True)
        data = {} if error is None else {"error": error}
        data |= {"healthy": False} if kind == "health" else {}
        AgentEvent.objects.create(agent=row, at=clock.now() - timedelta(hours=hours), kind=kind, data=data, **line)
        return row

    return make


def found(text: str) -> set[int]:
    return set(agents_matching(text, None).values_list("pk", flat=True))


def counted() -> Failures:
    return failures_of_the_day(clock.now())


def test_each_number_is_what_its_query_finds(failed: Callable[..., Agent]) -> None:
    first = failed()
    failed(agent=first)
    failed(agent=first, error="other")
    second = failed(kind="health", hours=23)
    failed(kind="rolled_back", error=None)
    failed(error="")
    failed(kind="refused", error=None)
    # None of these failed within the day.
    failed(hours=25)
    failed(kind="applied", error=None)
    AgentEvent.objects.create(agent=failed(hours=30), at=clock.now(), kind="health", data={"healthy": True})
    said = counted()
    assert [(group.reason, group.agents) for group in said.groups] == [
        ("disk full", 2), ("", 1), ("other", 1), ("refused", 1), ("rolled_back", 1),
    ]  # fmt: skip
    for group in said.groups:
        assert len(found(group.query)) == group.agents, group
    assert found('failed:"disk full"') == {first.pk, second.pk}
    assert len(found("failed:today")) == said.agents == 5
    assert found("failed:*") == found("failed:today") == found("failed:TODAY")
    assert found("-failed:today") == set(Agent.objects.values_list("pk", flat=True)) - found("failed:today")
    assert found('failed:(other, "disk full")') == {first.pk, second.pk}
    assert found("failed:di*") == {first.pk, second.pk}
    assert found("failed:nothing") == set()


def test_a_line_that_was_folded_counts_when_it_was_said_last(failed: Callable[..., Agent]) -> None:
    agent = failed(kind="health", hours=60, last_at=clock.now() - timedelta(minutes=5), count=9)
    assert counted().agents == 1
    assert found("failed<10m") == found('failed:"disk full"') == {agent.pk}


def test_within_a_time(failed: Callable[..., Agent]) -> None:
    late, early = failed(hours=1), failed(hours=20)
    failed(hours=40)
    assert found("failed<6h") == {late.pk}
    assert found("failed>6h") == {early.pk}
    assert found("failed<9d") == {late.pk, early.pk}
    with pytest.raises(InvalidQuery):
        found("failed<soon")


@pytest.mark.parametrize(
    "error",
    [
        'a "quoted" \\ text, with (signs) * and : = <b>',
        "dial tcp 10.0.0.1:4317: connection refused\n\tat line 3\n",
        "Authorization: Bearer abcdef0123456789abcdef0123456789 was refused",
        "word " * 100,
        "x" * 400,
        "磁盘已满：无法写入",
        "\u202ereversed\u0007",
        "today",
        "'; DROP TABLE agents_agent; --",
    ],
)
def test_reasons_of_any_kind_lead_to_their_agents(failed: Callable[..., Agent], error: str) -> None:
    agent = failed(error=error)
    failed(error="another")
    group = next(group for group in counted().groups if group.reason != "another")
    assert "abcdef0123456789" not in group.reason
    assert len(group.reason) <= 210
    assert "\n" not in group.reason
    hit = found(group.query)
    assert hit == {agent.pk} if error != "today" else hit >= {agent.pk}


def test_reasons_that_look_alike_are_one_and_each_agent_counts_once(failed: Callable[..., Agent]) -> None:
    first = failed(error="token=abcdef0123456789abcdef is bad")
    failed(error="token=0123456789abcdef012345 is bad", agent=first)
    failed(error="token=fedcba9876543210fedcba is bad")
    (group,) = counted().groups
    assert group.agents == 2 == len(found(group.query))


def test_which_are_still_in_error(failed: Callable[..., Agent]) -> None:
    ill = failed()
    failed()
    Agent.objects.filter(pk=ill.pk).update(healthy=False)
    (group,) = counted().groups
    assert (group.agents, group.in_error) == (2, 1)
    assert found(f"{group.query} status:error") == {ill.pk}


def test_it_is_suggested(failed: Callable[..., Agent]) -> None:
    failed()
    word = query_words()["failed"]
    assert word.suggestions("") == [("today", None), ("disk full", 1)]
    assert word.suggestions("di") == [("disk full", 1)]


def test_reasons_are_cut_before_a_word() -> None:
    assert reason_shown("word " * 39 + "secret") == "word " * 39 + "…"
    assert reason_shown("plain") == "plain"


def test_the_overview_leads_to_exactly_those_and_offers_once_more(signed_in: Any, failed: Callable[..., Agent]) -> None:
    ill = failed(error="disk & <full>")
    failed(error="disk & <full>")
    Agent.objects.filter(pk=ill.pk).update(healthy=False, last_error="disk & <full>")
    body = panel(shown(signed_in), "failures")
    assert "<full>" not in body
    links = [html.unescape(url) for url in re.findall(r'<a (?:class="still" )?href="([^"]*)"', body)]
    numbers = [len(re.findall('class="action-select"', signed_in.get(url).content.decode())) for url in links]
    assert numbers == [2, 2, 1]
    form = re.search(r'<form method="post" action="([^"]*)">(.*?)</form>', body)
    assert form
    fields = dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">', form[2]))
    fields.pop("csrfmiddlewaretoken", None)
    asked = signed_in.post(html.unescape(form[1]), fields)
    assert asked.status_code == 200
    assert "Offer the configuration once more" in asked.content.decode()


def test_over_rest(signed_in: Any, failed: Callable[..., Agent]) -> None:
    failed()
    answer = signed_in.get("/api/v1/agents/summary/failures").json()
    assert answer == {
        "agents": 1,
        "groups": [{"reason": "disk full", "agents": 1, "in_error": 0, "query": 'failed:"disk full"'}],
        "more": 0,
        "incomplete": False,
    }
    listed = signed_in.get("/api/v1/agents", {"q": answer["groups"][0]["query"]}).json()
    assert len(listed["results"]) == 1
