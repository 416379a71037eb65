"""What becomes rows: rates, slots, days; unknown agents, pruning, two processes at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from agents.credentials import AgentCredential, Denial, EnrolmentPass, Pass
from agents.models import Agent
from agents.services import retention
from agents.services.editing import forget_agents
from telemetry.models import LatestTelemetry, TelemetryDay
from telemetry.otlp import read_metrics
from telemetry.services import series
from telemetry.services.series import telemetry_of
from telemetry.services.storing import Delivery, Reception, store
from tests.telemetry.otlp_requests import Export

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def agent(db: None) -> Agent:
    """One that is known."""
    return Agent.objects.create(instance_uid=uuid4(), name="edge-1")


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def delivery(export: Export, seconds: float, credential: Pass | None = None) -> Delivery:
    return Delivery(read_metrics(export.body, as_json=False), credential, later(seconds))


def sent(uid: UUID, seconds: float, **values: Any) -> Reception:
    """One request at ``seconds`` after noon."""
    return store([delivery(Export(uid, at=seconds).collector(**values), seconds)])[0]


def latest(agent: Agent) -> LatestTelemetry:
    return LatestTelemetry.objects.get(pk=agent.pk)


def test_the_second_request_has_rates(agent: Agent) -> None:
    assert sent(agent.instance_uid, 0, cpu=1.0, accepted=100) == Reception()
    row = latest(agent)
    assert (row.cpu, row.accepted, row.memory, row.queue) == (None, None, 50e6, 0.25)
    sent(agent.instance_uid, 60, cpu=31.0, accepted=700, refused=60, memory=60e6)
    row = latest(agent)
    assert (row.cpu, row.accepted, row.refused, row.failed) == (0.5, 10.0, 1.0, None)
    assert (row.memory, row.received_at) == (60e6, later(60))


def test_after_a_restart_the_former_rate_is_not_shown(agent: Agent) -> None:
    sent(agent.instance_uid, 0, cpu=1.0)
    sent(agent.instance_uid, 60, cpu=31.0)
    sent(agent.instance_uid, 120, cpu=0.1)
    assert latest(agent).cpu is None


def test_what_components_pass_on(agent: Agent) -> None:
    def sends(seconds: float, value: float) -> None:
        export = Export(agent.instance_uid, at=seconds)
        for transport in ("grpc", "http"):
            export.counter("otelcol_receiver_accepted_spans", value, receiver="otlp", transport=transport)
        export.counter("otelcol_exporter_sent_log_records", value, exporter="otlphttp/eu")
        export.counter("otelcol_exporter_sent_spans", value, exporter="x" * 101).counter(
            "otelcol_exporter_sent_spans", 1
        )
        store([delivery(export, seconds)])

    sends(0, 60)
    assert series.component_flows(agent.pk, later(0)) == {}
    sends(60, 660)
    assert series.component_flows(agent.pk, later(60)) == {
        ("receivers", "traces", "otlp"): 20.0,
        ("exporters", "logs", "otlphttp/eu"): 10.0,
    }
    assert series.component_flows(agent.pk, later(60) + series.FRESH + timedelta(seconds=1)) == {}


def test_a_slot_that_is_over_goes_into_its_day(agent: Agent) -> None:
    for minute in range(6):
        sent(agent.instance_uid, minute * 60, cpu=minute * 30.0, memory=(minute + 1) * 1e6)
    row = latest(agent)
    assert row.slot_at == later(300)
    day = TelemetryDay.objects.get()
    assert (day.latest_id, day.day) == (agent.pk, NOON.date())
    found = telemetry_of([agent.pk], since=NOON, until=later(600))[agent.pk].steps(NOON, later(600), 300)
    assert [(at, means[0], means[1]) for at, means in found] == [
        (NOON, 0.5, 3e6),
        (later(300), 0.5, 6e6),
        (later(600), None, None),
    ]


def test_the_same_request_twice_and_a_late_one_change_nothing(agent: Agent) -> None:
    sent(agent.instance_uid, 0, cpu=0.0)
    sent(agent.instance_uid, 60, cpu=30.0)
    sent(agent.instance_uid, 120, cpu=60.0)
    before = latest(agent)
    for at, cpu in ((60, 30.0), (120, 60.0)):
        assert store([delivery(Export(agent.instance_uid, at=at).collector(cpu=cpu), 130)]) == [Reception()]
    after = latest(agent)
    assert (after.cpu, after.counters, after.slot["cpu"]) == (before.cpu, before.counters, before.slot["cpu"])


def test_the_rows_of_an_agent_are_bounded(agent: Agent) -> None:
    """A request every six hours for ten days, from noon to noon, is a row for each of eleven dates."""
    for number in range(0, 10 * 144, 36):
        sent(agent.instance_uid, number * 600, cpu=float(number))
    assert TelemetryDay.objects.count() == 11
    assert LatestTelemetry.objects.count() == 1


def test_a_clock_of_ours_that_jumped_and_came_back(agent: Agent) -> None:
    sent(agent.instance_uid, 86_400 * 30, cpu=0.0)
    store([delivery(Export(agent.instance_uid, at=86_400 * 30 + 60).collector(cpu=30.0), 60)])
    assert latest(agent).slot_at == NOON


class TestWhoMayNot:
    def test_unknown_agents_are_counted_and_leave_nothing(self, agent: Agent) -> None:
        export = Export(uuid4()).collector(cpu=1).resource(agent.instance_uid).collector(cpu=1)
        (taken,) = store([delivery(export, 0)])
        assert taken.rejected == 6
        assert "instance UID" in taken.text
        assert taken.denial is None
        assert [*LatestTelemetry.objects.values_list("pk", flat=True)] == [agent.pk]

    def test_no_uid(self, agent: Agent) -> None:
        (taken,) = store([delivery(Export(None).collector(cpu=1), 0)])
        assert taken.rejected == 6
        assert "service.instance.id" in taken.text

    def test_an_enrolment_token_writes_for_those_alone_whom_it_brought(self, agent: Agent) -> None:
        Agent.objects.filter(pk=agent.pk).update(enrolled_by="rack-7")
        export = Export(agent.instance_uid).collector(cpu=1.0)
        others, theirs = store(
            [delivery(export, 0, EnrolmentPass(1, "other")), delivery(export, 0, EnrolmentPass(2, "rack-7"))]
        )
        assert others.denial == (Denial.ENROLMENT_FOREIGN, agent.instance_uid)
        assert theirs == Reception()
        Agent.objects.filter(pk=agent.pk).update(approval="rejected")
        (shut_out,) = store([delivery(export, 0, EnrolmentPass(2, "rack-7"))])
        assert shut_out.denial == (Denial.REJECTED, agent.instance_uid)

    def test_a_credential_writes_for_its_own_agent_alone(self, agent: Agent) -> None:
        other = Agent.objects.create(instance_uid=uuid4(), name="edge-2")
        Agent.objects.filter(pk=agent.pk).update(credential_number=5)
        own = AgentCredential(agent.instance_uid, 5)
        assert store([delivery(Export(agent.instance_uid).collector(cpu=1), 0, own)]) == [Reception()]
        (taken,) = store([delivery(Export(other.instance_uid).collector(cpu=1), 0, own)])
        assert taken.denial == (Denial.FOREIGN, other.instance_uid)
        mixed = Export(other.instance_uid).collector(cpu=1).resource(agent.instance_uid).collector(cpu=2)
        (taken,) = store([delivery(mixed, 0, own)])
        assert (taken.denial, taken.rejected) == (None, 6)
        assert [*LatestTelemetry.objects.values_list("pk", flat=True)] == [agent.pk]

    def test_shut_out(self, agent: Agent) -> None:
        Agent.objects.filter(pk=agent.pk).update(credential_revoked_at=NOON)
        (taken,) = store([delivery(Export(agent.instance_uid).collector(cpu=1), 0)])
        assert taken.denial == (Denial.REVOKED, agent.instance_uid)
        assert not LatestTelemetry.objects.exists()

    def test_points_that_cannot_be_taken_are_counted(self, agent: Agent) -> None:
        export = Export(agent.instance_uid).collector(cpu=1)
        export.counter("otelcol_receiver_accepted_spans", -1)
        (taken,) = store([delivery(export, 0)])
        assert taken.rejected == 1
        assert "finite" in taken.text


def test_a_batch_costs_the_same_for_many(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    agents = Agent.objects.bulk_create(Agent(instance_uid=uuid4(), name=f"a{n}") for n in range(20))

    def batch(at: float) -> Sequence[Delivery]:
        return [delivery(Export(row.instance_uid, at=at).collector(cpu=at), at) for row in agents]

    store(batch(0))
    # Two of them are the savepoint of the test.
    with django_assert_num_queries(6):
        store(batch(60))
    store(batch(400))
    assert TelemetryDay.objects.count() == 20


def test_pruning(agent: Agent) -> None:
    gone = Agent.objects.create(instance_uid=uuid4(), name="gone")
    sent(gone.instance_uid, 0, cpu=1)
    sent(gone.instance_uid, 400, cpu=1)
    for day in range(10):
        sent(agent.instance_uid, day * 86_400, cpu=float(day))
    at = later(9 * 86_400)
    kinds = {kind.value: kind for kind in retention.pruned_kinds()}
    assert [*retention.prune(kinds["telemetry"], at=at)] == [3]
    assert {row.day for row in TelemetryDay.objects.all()} == {(NOON + timedelta(days=n)).date() for n in range(2, 9)}
    assert [*retention.prune(kinds["latest telemetry"], at=at)] == [1]
    assert [*LatestTelemetry.objects.values_list("pk", flat=True)] == [agent.pk]
    assert retention.count_overdue(kinds["telemetry"], at=at) == 0


def test_what_is_forgotten_goes_with_its_telemetry(agent: Agent) -> None:
    sent(agent.instance_uid, 0, cpu=1)
    sent(agent.instance_uid, 400, cpu=1)
    forget_agents([agent.pk], by=None)
    assert not LatestTelemetry.objects.exists()
    assert not TelemetryDay.objects.exists()


def test_reading_costs_two_queries(agent: Agent, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    sent(agent.instance_uid, 0, cpu=1)
    with django_assert_num_queries(2):
        assert telemetry_of([agent.pk], since=NOON, until=later(60))
    assert [*series.keys_with_telemetry()] == [agent.pk]
    assert telemetry_of([agent.pk + 1], since=NOON, until=later(60)) == {}


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'")
def test_two_processes_at_once(agent: Agent) -> None:
    """Both have points of one agent that has no row yet; no increase is counted twice and none lost."""
    start = threading.Barrier(2)

    def process(parity: int) -> None:
        try:
            start.wait()
            for number in range(parity, 40, 2):
                store([delivery(Export(agent.instance_uid, at=number * 2).collector(cpu=float(number)), 1)])
        finally:
            connection.close()

    threads = [threading.Thread(target=process, args=(parity,)) for parity in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    row = latest(agent)
    total, weights = row.slot["cpu"]
    name, (value, _at) = next((name, point) for name, point in row.counters.items() if name.startswith("cpu:"))
    assert value == 39.0, name
    assert total <= 39.0
    assert total == pytest.approx(weights / 2)
