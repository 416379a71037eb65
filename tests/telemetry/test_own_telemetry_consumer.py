"""Agents' own metrics at the entry point of the real application."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as project
from django.db import OperationalError
from google.protobuf import json_format
from prometheus_client import REGISTRY
from pytest_django import Settings

from agents.credentials import AgentCredential, text_of
from agents.models import Agent
from opamp_transport import runtime, telemetry_queue
from telemetry import otlp
from telemetry.models import LatestTelemetry
from telemetry.services.storing import Reception
from tests.fake_agent import run
from tests.telemetry.otlp_requests import Export, response, send

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "the-secret-of-the-fleet"
SHARED = {"authorization": f"Bearer {SECRET}"}


@pytest.fixture(autouse=True)
def _switched_on(settings: Settings) -> None:
    settings.OPAMP_OWN_TELEMETRY = True
    settings.OPAMP_SECRET_KEY = SECRET


@pytest.fixture
def agent() -> Agent:
    """One that is known."""
    return Agent.objects.create(instance_uid=uuid4(), name="edge-1")


@sync_to_async
def rows() -> list[int]:
    return [*LatestTelemetry.objects.values_list("pk", flat=True)]


def body_of(agent: Agent) -> bytes:
    return Export(agent.instance_uid).collector(cpu=1).body


def test_it_is_taken_and_stored(agent: Agent) -> None:
    async def body() -> None:
        said = response(await send(body_of(agent), SHARED))
        assert not said.HasField("partial_success")
        assert await rows() == [agent.pk]

    run(body())


def test_json_gzip_and_both(agent: Agent) -> None:
    async def body() -> None:
        export = Export(agent.instance_uid).collector(cpu=1).counter("otelcol_process_cpu_seconds", -1)
        text = json_format.MessageToJson(export.request).encode()
        as_json = {**SHARED, "content-type": "application/json; charset=utf-8"}
        packed = {"content-encoding": "gzip"}
        for content, headers in ((text, as_json), (gzip.compress(text, mtime=0), {**as_json, **packed})):
            answer = await send(content, headers)
            assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
            assert json.loads(answer.body)["partialSuccess"]["rejectedDataPoints"] == "1"
        said = response(await send(gzip.compress(export.body, mtime=0), {**SHARED, **packed}))
        assert said.partial_success.rejected_data_points == 1

    run(body())


def test_off(agent: Agent, settings: Settings) -> None:
    settings.OPAMP_OWN_TELEMETRY = False

    async def body() -> None:
        answer = await send(body_of(agent), SHARED)
        assert answer.status == 404
        assert b"OPAMP_OWN_TELEMETRY" in answer.body
        assert await rows() == []

    run(body())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({**SHARED, "origin": "https://evil.example"}, 403),
        ({**SHARED, "content-type": "text/plain"}, 415),
        ({**SHARED, "content-encoding": "br"}, 415),
    ],
)
def test_who_and_what_is_refused(agent: Agent, headers: dict[str, str], status: int) -> None:
    async def body() -> None:
        assert (await send(body_of(agent), headers)).status == status
        assert await rows() == []

    run(body())


def test_without_a_secret_on_loopback_alone(agent: Agent, settings: Settings) -> None:
    settings.OPAMP_SECRET_KEY = ""

    async def body() -> None:
        assert (await send(body_of(agent), {"host": "foreign.example:99999"})).status == 403

    run(body())


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
def test_other_methods(method: str) -> None:
    async def body() -> None:
        answer = await send(b"", SHARED, method=method)
        assert (answer.status, answer.headers["allow"]) == (405, "POST")

    run(body())


def test_an_agents_own_credential(agent: Agent) -> None:
    Agent.objects.filter(pk=agent.pk).update(credential_number=5)
    other = Agent.objects.create(instance_uid=uuid4(), name="edge-2")

    async def body() -> None:
        text = text_of(AgentCredential(agent.instance_uid, 5), key=project.SECRET_KEY)
        own = {"authorization": f"Bearer {text}"}
        response(await send(body_of(agent), own))
        answer = await send(body_of(other), own)
        assert answer.status == 403
        assert b"belongs to another agent" in answer.body
        outdated = text_of(AgentCredential(agent.instance_uid, 4), key=project.SECRET_KEY)
        assert (await send(body_of(agent), {"authorization": f"Bearer {outdated}"})).status == 401
        assert await rows() == [agent.pk]

    run(body())


def test_unknown_agents(agent: Agent) -> None:
    before = REGISTRY.get_sample_value("opamp_telemetry_rejected_points_total") or 0.0

    async def body() -> None:
        said = response(await send(Export(uuid4()).collector(cpu=1).body, SHARED))
        assert said.partial_success.rejected_data_points == 6
        assert "instance UID" in said.partial_success.error_message
        assert await rows() == []
        assert await sync_to_async(Agent.objects.count)() == 1
        assert REGISTRY.get_sample_value("opamp_telemetry_rejected_points_total") == before + 6

    run(body())


@pytest.mark.parametrize(
    ("content", "kind", "encoding"),
    [
        (b"garbage", "application/x-protobuf", ""),
        (b"garbage", "application/json", ""),
        (b"garbage", "application/x-protobuf", "gzip"),
        (gzip.compress(b"x" * 100, mtime=0)[:-4], "application/x-protobuf", "gzip"),
    ],
)
def test_garbage(content: bytes, kind: str, encoding: str) -> None:
    async def body() -> None:
        answer = await send(content, {**SHARED, "content-type": kind, "content-encoding": encoding})
        assert answer.status == 400
        assert answer.headers["content-type"] == kind
        if kind == "application/json":
            assert json.loads(answer.body)["code"] == 3
        else:
            assert answer.body[:2] == bytes([0x08, 3])

    run(body())


def test_a_bomb_and_what_is_just_too_large() -> None:
    async def body() -> None:
        bomb = gzip.compress(b"\0" * (otlp.MOST_BYTES + 1), mtime=0)
        assert len(bomb) < 2_000
        assert (await send(bomb, {**SHARED, "content-encoding": "gzip"})).status == 413
        assert (await send(b"\0" * (otlp.MOST_BYTES + 1), SHARED)).status == 413

    run(body())


def test_too_many_parts(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "MOST_POINTS", 5)

    async def body() -> None:
        assert (await send(body_of(agent), SHARED)).status == 413
        assert await rows() == []

    run(body())


def test_when_the_queue_is_full(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry_queue, "_MOST_WAITING", 0)

    async def body() -> None:
        answer = await send(body_of(agent), SHARED)
        assert answer.status == 429
        assert int(answer.headers["retry-after"]) > 0

    run(body())


def test_while_the_server_refuses_agents_it_refuses_this(agent: Agent, settings: Settings) -> None:
    settings.OPAMP_QUEUE_LIMIT = 0

    async def body() -> None:
        answer = await send(body_of(agent), SHARED)
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0

    run(body())


def test_more_than_an_address_may(agent: Agent, settings: Settings) -> None:
    settings.OPAMP_REQUESTS_PER_SECOND = 1

    async def body() -> None:
        answers = [await send(body_of(agent), SHARED) for _ in range(15)]
        assert {answer.status for answer in answers} == {200, 429}

    run(body())


def test_a_database_that_is_away(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    def store(_deliveries: Any) -> list[Reception]:
        raise OperationalError("away")

    monkeypatch.setattr(telemetry_queue, "store", store)

    async def body() -> None:
        answers = await asyncio.gather(*(send(body_of(agent), SHARED) for _ in range(3)))
        assert {answer.status for answer in answers} == {503}
        assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)

    run(body())


def test_one_that_fails_in_a_batch_fails_alone(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    poison = Agent.objects.create(instance_uid=uuid4(), name="poison")
    real = telemetry_queue.store

    def store(deliveries: Any) -> list[Reception]:
        if any(each.uid == poison.instance_uid for delivery in deliveries for each in delivery.metrics):
            raise ValueError("a mistake")
        return real(deliveries)

    monkeypatch.setattr(telemetry_queue, "store", store)

    async def body() -> None:
        sent = [agent, poison, agent]
        answers = await asyncio.gather(*(send(body_of(each), SHARED) for each in sent))
        assert [answer.status for answer in answers] == [200, 503, 200]
        assert not telemetry_queue.queue_of(runtime.current()).is_full

    run(body())
