"""Each line of a timeline is told to subscribers, whoever wrote it; and what that costs when there are none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from agents.events import AgentTimelineEvent
from agents.models import Agent, AgentEvent, AgentPresence, ReportedState, Transport
from agents.remote_config import ConfigFile
from agents.reports import RemoteConfigStatus, RemoteConfigStatuses, StatusReport
from agents.services import commands, credentials, editing, identity
from agents.services.arrivals import Arrival, Lease
from agents.services.leases import Claim, expire_process, reclaim
from configurations.services.publishing import Draft, create_configuration
from configurations.services.retrying import retry_offer
from foundation.bulk_sql import bulk_insert, reserve_keys
from opamp_transport.batch import process_reports
from tests.agents.test_timeline import STEP, Speaker, health, ran
from tests.people import CAPABLE
from tests.subscriptions import calls_with

pytestmark = pytest.mark.django_db(transaction=True)
AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
Kind = AgentEvent.Kind


def fleet(count: int) -> list[Agent]:
    """Connected agents, made without a report of theirs."""
    keys = reserve_keys(Agent, count)
    agents = [Agent(pk=key, instance_uid=uuid4(), first_seen_at=AT) for key in keys]
    for agent in agents:
        agent.connected, agent.lease_process = True, "lost"
    bulk_insert(agents)
    bulk_insert(ReportedState(agent=agent) for agent in agents)
    bulk_insert(AgentPresence(agent=agent, last_seen_at=AT) for agent in agents)
    return agents


def an_eventful_life(report: Callable[..., Agent], by: User) -> None:
    """Something of everything that writes lines."""
    create_configuration(
        "everywhere",
        Draft(selector={"env": "prod"}, files={"": ConfigFile(b"a: 1\n", "text/yaml")}),
        by=by,
        at=AT,
        force=True,
    )
    agent = report(env="prod")
    lease = Lease(agent.lease_id, "test", Transport.WEBSOCKET, "127.0.0.1")
    failed = RemoteConfigStatus(bytes.fromhex(agent.configuration_hash), RemoteConfigStatuses.FAILED, "no")
    process_reports(
        [Arrival(StatusReport(agent.instance_uid, 1, CAPABLE, remote_config_status=failed), lease)], at=AT
    )  # fmt: skip
    retry_offer(agent.pk, by=by, at=AT)
    editing.edit_agent(agent.pk, custom_name="mine", by=by, at=AT)
    editing.edit_labels([agent.pk], assign={"tier": "1"}, remove=(), by=by, at=AT)
    commands.request_restart(agent, by=by, at=AT)
    process_reports([Arrival(StatusReport(agent.instance_uid, 2, CAPABLE), lease)], at=AT)
    commands.expire_commands(at=AT + timedelta(hours=1))
    identity.assign_instance_uid(agent, by=by, at=AT)
    expire_process("test", beat_at=None, at=AT)
    reclaim([Claim(agent.pk, lease)], at=AT)
    credentials.revoke_credentials([agent.pk], by=by, at=AT)


def test_every_line_is_told_as_it_stands_in_the_rows(report: Callable[..., Agent], alice: User) -> None:
    with calls_with(AgentTimelineEvent) as calls:
        an_eventful_life(report, alice)
    told = [event for call in calls for event in call]
    rows = list(AgentEvent.objects.order_by("id").values_list("agent_id", "kind", "at", "data"))
    assert [(event.agent_id, event.kind, event.at, event.data) for event in told] == rows
    kinds = {Kind.REGISTERED, Kind.ASSIGNED, Kind.OFFERED, Kind.FAILED, Kind.COMMAND, Kind.EDITED, Kind.LABELS}
    kinds |= {Kind.IDENTITY, Kind.DISCONNECTED, Kind.CONNECTED, Kind.CREDENTIAL}
    assert kinds <= {event.kind for event in told}
    assert all(type(event.kind) is str for event in told)


def test_the_agent_is_named_by_its_uid_where_the_writer_knew_it(report: Callable[..., Agent], alice: User) -> None:
    with calls_with(AgentTimelineEvent) as calls:
        an_eventful_life(report, alice)
    uid = Agent.objects.get().instance_uid
    named = {event.kind: event.instance_uid for call in calls for event in call}
    assert named[Kind.REGISTERED] == named[Kind.LABELS] == uid
    assert named[Kind.DISCONNECTED] is None


def test_a_storm_comes_in_one_call() -> None:
    agents = fleet(2_500)
    with calls_with(AgentTimelineEvent) as calls:
        expire_process("lost", beat_at=None, at=AT)
    (events,) = calls
    assert [event.agent_id for event in events] == [agent.pk for agent in agents]
    assert {event.kind for event in events} == {Kind.DISCONNECTED}


def test_a_repeat_is_told_too_and_in_its_place() -> None:
    speaker = Speaker()
    speaker.is_ill("no route")
    speaker.says(health=health())
    with calls_with(AgentTimelineEvent) as calls:
        speaker.says(health=health("no route"), effective_config=ran("b"))
        speaker.says(health=health(), effective_config=ran("a"))
        speaker.says(effective_config=ran("b"), capabilities=CAPABLE | 2**30)
    assert [[(event.kind, event.repeated) for event in call] for call in calls] == [
        [(Kind.HEALTH, True), (Kind.EFFECTIVE_CONFIG, False)],
        [(Kind.HEALTH, True), (Kind.EFFECTIVE_CONFIG, True)],
        [(Kind.CAPABILITIES, False), (Kind.EFFECTIVE_CONFIG, True)],
    ]
    assert [call[0].at for call in calls] == [speaker.at - 2 * STEP, speaker.at - STEP, speaker.at]


def test_statements_are_the_same_with_subscribers_and_without(report: Callable[..., Agent], alice: User) -> None:
    def statements() -> int:
        Agent.objects.all().delete()
        with CaptureQueriesContext(connection) as queries:
            report()
            commands.request_restart(Agent.objects.get(), by=alice, at=AT)
        return len(queries)

    statements()
    without = statements()
    with calls_with(AgentTimelineEvent) as calls:
        assert statements() == without
    assert calls
