"""What agents bring about reaches subscribers, through the real stack: after the commit, in the database's threads."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from django.db import connection

from agents.events import AgentTimelineEvent
from agents.models import AgentEvent
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import FakeAgent, run
from tests.opamp_transport.conversations import BOTH, GOODBYE, PROD, Line, events_of, processed, publish
from tests.subscriptions import calls_with, subscribed

pytestmark = pytest.mark.django_db(transaction=True)


@BOTH
def test_a_subscriber_hears_after_the_commit_what_the_timeline_says(transport: str) -> None:
    where: set[tuple[bool, bool]] = set()
    committed: list[bool] = []

    def receive(events: Sequence[AgentTimelineEvent]) -> None:
        where.add((threading.current_thread() is threading.main_thread(), connection.in_atomic_block))
        # Each of them can be read: nothing is told that may still be rolled back.
        there = AgentEvent.objects.filter(agent_id=events[-1].agent_id).order_by("id").values_list("kind", flat=True)
        committed.append(list(there)[-len(events) :] == [event.kind for event in events])

    async def body() -> None:
        agent = FakeAgent(**PROD)
        await publish()
        with calls_with(AgentTimelineEvent) as calls, subscribed((AgentTimelineEvent, receive)):
            async with Line(transport) as line:
                await line.tell_all(agent)
                await line.exchange(agent.message(health=opamp_pb2.ComponentHealth(last_error="broken")))
                await line.exchange(agent.message(**GOODBYE))
                await processed()
        told = [event for call in calls for event in call]
        assert [(event.kind, event.data) for event in told] == await events_of(agent)
        assert {"registered", "offered", "health", "disconnected"} <= {event.kind for event in told}
        assert {event.instance_uid for event in told} <= {agent.uid, None}

    run(body())
    assert where == {(False, False)}
    assert committed
    assert all(committed)


@BOTH
def test_a_subscriber_that_raises_harms_no_agent(transport: str, caplog: pytest.LogCaptureFixture) -> None:
    def failing(_events: Sequence[AgentTimelineEvent]) -> None:
        raise BrokenPipeError(transport)

    async def body() -> None:
        agent = FakeAgent(**PROD)
        await publish()
        with subscribed((AgentTimelineEvent, failing)), calls_with(AgentTimelineEvent) as calls:
            async with Line(transport) as line:
                assert (await line.tell_all(agent)).HasField("remote_config")
                reply = await line.exchange(agent.message(health=opamp_pb2.ComponentHealth(last_error="broken")))
                assert not reply.HasField("error_response")
        told = [(event.kind, event.data) for call in calls for event in call]
        assert told == (await events_of(agent))[: len(told)]
        assert told[-1][0] == "health"

    run(body())
    assert {record.message for record in caplog.records if record.levelname == "ERROR"} <= {
        "a subscriber to events failed"
    }
