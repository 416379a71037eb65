"""What agents repeat is folded into the line that told it first."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents.models import Agent, AgentEvent, Transport
from agents.reports import AgentDescription, ComponentHealth, EffectiveConfig, StatusReport
from agents.services import timeline
from agents.services.arrivals import Arrival, Lease
from agents.services.retention import PrunedKind, prune
from opamp_transport.batch import process_reports
from tests.databases import on_postgresql
from tests.people import CAPABLE

pytestmark = pytest.mark.django_db(transaction=True)
AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
STEP = timedelta(seconds=5)


class Speaker:
    """One agent that reports every five seconds."""

    def __init__(self) -> None:
        self.report = StatusReport(uuid4(), capabilities=CAPABLE, sequence_num=0)
        self.lease = Lease(f"ws-{uuid4().hex}", "test", Transport.WEBSOCKET, "127.0.0.1")
        self.at = AT
        self.says(
            agent_description=AgentDescription({"service.name": "otelcol"}, {}),
            health=health(),
            effective_config=ran("a"),
        )

    @property
    def row(self) -> Agent:
        return Agent.objects.get(instance_uid=self.report.instance_uid)

    def next_arrival(self, **parts: Any) -> Arrival:
        self.at += STEP
        message = replace(self.report, **parts)
        self.report = replace(self.report, sequence_num=self.report.sequence_num + 1)
        return Arrival(message, self.lease)

    def says(self, **parts: Any) -> None:
        process_reports([self.next_arrival(**parts)], at=self.at)

    def is_ill(self, error: str, **more: Any) -> None:
        self.says(health=health(error, **more))

    def lines(self, kind: str) -> list[tuple[Any, int]]:
        """The newest first: what is told, how often."""
        rows = AgentEvent.objects.filter(agent=self.row, kind=kind)
        return [(row.data.get("error", row.data.get("hash")), row.count) for row in rows]


def health(error: str | None = None, started: int = 0) -> ComponentHealth:
    """Healthy without an ``error``; ``started`` in nanoseconds."""
    well = error is None
    return ComponentHealth(well, error or "", "", started, 0, {"healthy": well})


def ran(body: str) -> EffectiveConfig:
    return EffectiveConfig({"": {"body": body}})


def test_a_crash_loop_keeps_the_line_that_tells_why() -> None:
    agent = Speaker()
    agent.says(effective_config=ran("b"))
    for number in range(1, 101):
        agent.is_ill(f"2026-02-03T04:05:{number % 60:02}Z exit code 1, pid {4000 + number}", started=number * 10**9)
        agent.is_ill("", started=number * 10**9)
    first = "2026-02-03T04:05:01Z exit code 1, pid 4001"
    assert agent.lines("health") == [("", 100), (first, 100), ("", 1)]
    assert agent.lines("restarted") == [(None, 99)]
    assert AgentEvent.objects.filter(agent=agent.row).count() <= 10
    line = AgentEvent.objects.get(agent=agent.row, kind="health", count=100, data__error=first)
    assert (line.at, line.last_at) == (AT + 3 * STEP, agent.at - STEP)


def test_flapping_is_two_lines_whose_order_stays() -> None:
    agent = Speaker()
    for _ in range(10):
        agent.is_ill("port taken")
        agent.says(health=health())
    lines = AgentEvent.objects.filter(agent=agent.row, kind="health")
    told = [(line.data["healthy"], line.count) for line in lines]
    # The last one is of its first report.
    assert told == [(True, 10), (False, 10), (True, 1)]
    assert [line.pk for line in lines] == sorted((line.pk for line in lines), reverse=True)


def test_two_configurations_in_turn_are_two_lines() -> None:
    agent = Speaker()
    for body in "babababab":
        agent.says(effective_config=ran(body))
    assert [count for _, count in agent.lines("effective_config")] == [4, 5, 1]


def test_another_error_is_another_line() -> None:
    agent = Speaker()
    for error in ("no such file: /etc/a", "no such file: /etc/b", "permission denied"):
        agent.is_ill(error)
    assert [count for _, count in agent.lines("health")] == [1, 1, 1, 1]


@pytest.mark.parametrize("kind", ["offered", "applied", "failed", "command", "labels"])
def test_what_people_and_configurations_do_ends_the_folding(kind: str) -> None:
    agent = Speaker()
    for _ in range(3):
        agent.is_ill("broken")
        agent.is_ill("worse")
    AgentEvent.objects.create(agent=agent.row, at=agent.at, kind=kind, data={})
    for _ in range(3):
        agent.is_ill("broken")
        agent.is_ill("worse")
    assert agent.lines("health")[:4] == [("worse", 3), ("broken", 3), ("worse", 3), ("broken", 3)]


@pytest.mark.parametrize("kind", ["connected", "disconnected", "custom_message"])
def test_connections_and_messages_do_not(kind: str) -> None:
    agent = Speaker()
    for _ in range(3):
        agent.is_ill("broken")
        AgentEvent.objects.create(agent=agent.row, at=agent.at, kind=kind, data={})
        agent.says(health=health())
    assert ("broken", 3) in agent.lines("health")


@pytest.mark.parametrize(("pause", "folded"), [(timedelta(minutes=14), True), (timedelta(minutes=16), False)])
def test_after_a_pause_it_is_news_again(pause: timedelta, folded: bool) -> None:
    agent = Speaker()
    for _ in range(2):
        agent.is_ill("broken")
        agent.says(health=health())
        agent.at += pause
    agent.is_ill("broken")
    assert len([line for line in agent.lines("health") if line[0] == "broken"]) == (1 if folded else 3)


def cost(agents: list[Speaker], error: str) -> int:
    """How many statements about events it takes that these agents are ill."""
    arrivals = [agent.next_arrival(health=health(error)) for agent in agents]
    with CaptureQueriesContext(connection) as queries:
        process_reports(arrivals, at=agents[0].at)
    return len([query for query in queries if "agents_agentevent" in query["sql"]])


def test_agents_that_say_something_new_cost_one_statement() -> None:
    agents = [Speaker() for _ in range(6)]
    assert cost(agents, "one") == 1
    assert cost(agents, "two") == 1
    cost(agents, "one")
    assert ("one", 2) in agents[5].lines("health")


@on_postgresql
def test_agents_that_repeat_something_cost_two_however_many_there_are() -> None:
    agents = [Speaker() for _ in range(6)]
    cost(agents, "one")
    cost(agents, "two")
    assert cost(agents[:2], "one") == 2
    cost(agents, "three")
    assert cost(agents, "two") == 2


def test_a_folded_line_is_as_old_as_its_last_repeat(settings) -> None:  # type: ignore[no-untyped-def]
    settings.OPAMP_KEEP_EVENTS_DAYS = 1
    agent = Speaker()
    for _ in range(3):
        agent.is_ill("broken")
        agent.says(health=health())
    old = AT - timedelta(days=3)
    AgentEvent.objects.update(at=old)
    AgentEvent.objects.filter(count=1).update(last_at=None)
    assert sum(prune(PrunedKind.EVENTS, at=agent.at)) > 0
    assert agent.lines("health") == [("", 3), ("broken", 3)]
    AgentEvent.objects.update(last_at=old)
    assert sum(prune(PrunedKind.EVENTS, at=agent.at)) == 2


def test_it_is_told_over_the_api_and_on_the_page(api_of, client, alice) -> None:  # type: ignore[no-untyped-def]
    agent = Speaker()
    for _ in range(3):
        agent.is_ill("broken")
        agent.says(health=health())
    lines = api_of(alice).get(f"/api/v1/agents/{agent.row.instance_uid}/timeline").json()["results"]
    (ill,) = [line for line in lines if line["data"].get("error") == "broken"]
    assert (ill["count"], ill["at"]) == (3, (AT + 2 * STEP).isoformat().replace("+00:00", "Z"))
    assert ill["last_at"] == (agent.at - STEP).isoformat().replace("+00:00", "Z")
    (once,) = [line for line in lines if line["kind"] == "registered"]
    assert (once["count"], once["last_at"]) == (1, once["at"])
    client.force_login(alice)
    for url in (f"/admin/agents/agent/{agent.row.pk}/timeline/", "/admin/"):
        assert "3 times, the last" in client.get(url).content.decode()


def test_a_long_word_is_compared_in_no_time() -> None:
    event = AgentEvent(kind="health", data={"healthy": False, "error": "x" * 2000})
    assert timeline.signature(event)
    assert timeline.signature(event) == timeline.signature(
        AgentEvent(kind="health", data={"healthy": False, "before": None, "error": "x" * 600})
    )
