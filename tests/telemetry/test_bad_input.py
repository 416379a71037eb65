"""Metrics that no agent should send: refused with a reason, or taken without harm; never anything kept that cannot be shown."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from asgiref.sync import sync_to_async
from django.test import Client
from pytest_django import Settings

from agents.models import Agent, Approval
from telemetry.models import LatestTelemetry
from telemetry.otlp import read_metrics
from telemetry.services.series import component_flows
from telemetry.services.storing import Delivery, Reception, store
from tests.fake_agent import run
from tests.telemetry.otlp_requests import SECOND, START, Export, response, send

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = "the-secret-of-the-fleet"
SHARED = {"authorization": f"Bearer {SECRET}"}
CPU = "otelcol_process_cpu_seconds"


@pytest.fixture(autouse=True)
def _switched_on(settings: Settings) -> None:
    settings.OPAMP_OWN_TELEMETRY = True
    settings.OPAMP_SECRET_KEY = SECRET


@pytest.fixture
def agent() -> Agent:
    """One that is known."""
    return Agent.objects.create(instance_uid=uuid4(), name="edge-1")


def stored(export: Export, seconds: float = 0) -> Reception:
    """What became of a request that came so long after noon."""
    metrics = read_metrics(export.body, as_json=False)
    return store([Delivery(metrics, None, NOON + timedelta(seconds=seconds))])[0]


def latest(agent: Agent) -> LatestTelemetry:
    return LatestTelemetry.objects.get(pk=agent.pk)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -1.0, 1e300, -0.5])
def test_values_that_are_none(agent: Agent, value: float) -> None:
    uid = agent.instance_uid
    export = Export(uid).counter(CPU, value).gauge("otelcol_process_memory_rss", value)
    assert stored(export).rejected == 2
    row = latest(agent)
    assert (row.cpu, row.memory, row.counters) == (None, None, {})


@pytest.mark.parametrize("at", [1, 2**63, 2**64 - 1, START + 10**9 * SECOND])
def test_times_of_another_age_spoil_nothing_that_comes_later(agent: Agent, at: int) -> None:
    """A clock that is set right again costs one rate."""
    uid = agent.instance_uid
    stored(Export(uid, at=0).counter(CPU, 5).counter("otelcol_receiver_accepted_spans", 5, receiver="otlp"))
    strange = Export(uid).counter(CPU, 9, at=at).counter("otelcol_receiver_accepted_spans", 9, receiver="otlp", at=at)
    assert stored(strange, 60) == Reception()
    assert latest(agent).cpu is None
    for number in (2, 3):
        later = Export(uid, at=number * 60).counter(CPU, number * 60)
        later.counter("otelcol_receiver_accepted_spans", number * 600, receiver="otlp")
        stored(later, number * 60)
    assert latest(agent).cpu == 1.0
    assert component_flows(agent.pk, NOON + timedelta(seconds=200)) == {("receivers", "traces", "otlp"): 10.0}


def test_a_start_that_lies_ahead_and_one_that_moves(agent: Agent) -> None:
    uid = agent.instance_uid
    for number, start in enumerate((2**64 - 1, 0, START + 90 * SECOND, START + 90 * SECOND)):
        stored(Export(uid, at=number * 60).counter(CPU, number * 60, start=start), number * 60)
    assert latest(agent).cpu == 1.0


def test_a_counter_that_falls_and_the_same_point_twice(agent: Agent) -> None:
    uid = agent.instance_uid
    for seconds, value in ((0, 100), (60, 160), (60, 999), (60, 160)):
        stored(Export(uid, at=seconds).counter(CPU, value), seconds)
    assert latest(agent).cpu == 1.0
    twice = Export(uid, at=120).counter(CPU, 10).counter(CPU, 20)
    stored(twice, 120)
    assert latest(agent).cpu is None
    stored(Export(uid, at=180).counter(CPU, 40), 180)
    assert latest(agent).cpu == 0.5, "of two points of one time the first counts"


@pytest.mark.parametrize("name", ["a\x00b", "a\nb", "\x1b[31m", "a\u202eb", "a" * 101, "\u2028"])
def test_names_of_components_that_cannot_be_kept(agent: Agent, name: str) -> None:
    """The agent's own numbers are taken all the same."""
    uid = agent.instance_uid
    for number in (0, 1):
        export = Export(uid, at=number * 60).counter(CPU, number * 60)
        export.counter("otelcol_receiver_accepted_spans", number * 60, receiver=name)
        assert stored(export, number * 60) == Reception()
    row = latest(agent)
    assert (row.cpu, row.accepted, row.flows) == (1.0, 1.0, {})


def test_names_with_blanks_and_of_many_alphabets_are_kept(agent: Agent) -> None:
    names = ["otlp/eins zwei", "接收器", "<script>alert(1)</script>", "kafka/%2e%2e"]
    for number in (0, 1):
        export = Export(agent.instance_uid, at=number * 60)
        for name in names:
            export.counter("otelcol_receiver_accepted_spans", number * 60, receiver=name)
        stored(export, number * 60)
    found = component_flows(agent.pk, NOON + timedelta(seconds=60))
    assert {component for _role, _signal, component in found} == set(names)


def test_attributes_that_are_no_text_and_a_uid_that_is_none(agent: Agent) -> None:
    export = Export(agent.instance_uid).counter(CPU, 1)
    point = export.request.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[0]
    point.attributes.add(key="x").value.array_value.values.add().kvlist_value.values.add(
        key="y"
    ).value.bytes_value = b"\x00"
    assert stored(export) == Reception()
    for uid in ("", "x" * 64, f"{{{agent.instance_uid}}}", agent.instance_uid.hex, str(UUID(int=0)), "\x00"):
        outcome = stored(Export(uid).counter(CPU, 1))
        assert outcome.rejected == (0 if UUID_LIKE(uid) == agent.instance_uid else 1), uid


def UUID_LIKE(text: str) -> UUID | None:
    """As `uuid.UUID` reads it."""
    try:
        return UUID(text)
    except ValueError:
        return None


def test_who_waits_for_approval_and_who_was_rejected(agent: Agent) -> None:
    async def body() -> None:
        for approval, status in ((Approval.PENDING, 200), (Approval.REJECTED, 401)):
            await sync_to_async(Agent.objects.filter(pk=agent.pk).update)(approval=approval)
            assert (await send(Export(agent.instance_uid).collector(cpu=1).body, SHARED)).status == status

    run(body())


def test_bodies_that_say_something_else_than_their_header(agent: Agent) -> None:
    whole = Export(agent.instance_uid).collector(cpu=1).body

    async def body() -> None:
        for content, headers, status in (
            (whole, {"content-type": "application/json"}, 400),
            (b"{}", {"content-type": "application/x-protobuf"}, 400),
            (whole, {"content-encoding": "gzip"}, 400),
            (gzip.compress(whole)[:-9], {"content-encoding": "gzip"}, 400),
            (gzip.compress(whole) + b"more", {"content-encoding": "gzip"}, 400),
            (whole[:-3], {}, 400),
            (b'{"resourceMetrics": 5}', {"content-type": "application/json"}, 400),
            (b'{"resourceMetrics": [' * 4_000, {"content-type": "application/json"}, 400),
            (b"\xef\xbb\xbf{}", {"content-type": "application/json"}, 400),
            (json.dumps({"resourceMetrics": [{}]}).encode("utf-16"), {"content-type": "application/json"}, 400),
            (whole, {"content-encoding": "gzip, gzip"}, 415),
            (whole, {"content-type": "application/grpc"}, 415),
            (gzip.compress(b"\x00" * 5_000_000), {"content-encoding": "gzip"}, 413),
        ):
            answer = await send(content, {**SHARED, **headers})
            assert answer.status == status, (content[:40], headers, answer.body)
        assert not await sync_to_async(LatestTelemetry.objects.exists)()
        assert not response(await send(b"", SHARED)).HasField("partial_success")

    run(body())


def test_what_was_kept_of_strange_ones_can_be_shown(report: Callable[..., Agent], signed_in: Client) -> None:
    agent = report()
    uid = agent.instance_uid
    for number in (0, 1):
        export = Export(uid, at=number * 60).collector(cpu=number * 1e17, memory=1e18, accepted=number * 1e18)
        export.gauge("otelcol_exporter_queue_capacity", 1e-300, exporter="x").gauge(
            "otelcol_exporter_queue_size", 1e18, exporter="x"
        )
        stored(export, number * 60)
    shown: Any = signed_in.get(f"/api/v1/agents/{uid}/telemetry?since=2026-03-01T11:00:00Z").json()
    assert shown["latest"]["queue"] == 1.0
    assert signed_in.get(f"/admin/agents/agent/{agent.pk}/change/").status_code == 200
