"""Many agents assigned at once: each row as if its agent had been assigned alone, and rows that do not change are not written."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from agents.events import AgentTimelineEvent
from agents.models import Agent, AgentEvent
from agents.reports import AgentCapabilities, RemoteConfigStatuses
from agents.services.timeline import write_lines
from configurations.models import Assignment, Configuration, Revision
from configurations.outcome import AssignmentStatus
from configurations.services.assigning import Target, assigned_agents
from configurations.services.assigning_alike import MatchedAgent, assign_alike
from foundation.unit_of_work import UnitOfWork
from tests.subscriptions import calls_with

BEFORE = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
AT = BEFORE + timedelta(days=1)
ONE, OTHER = "1" * 64, "2" * 64


def target_of(name: str, config_hash: str, **more: Any) -> Target:
    configuration, _ = Configuration.objects.get_or_create(name=name)
    revision = Revision.objects.create(
        configuration=configuration, number=configuration.revisions.count() + 1, files={}, hash=config_hash
    )
    return Target(configuration.pk, name, revision.pk, revision.number, config_hash, **more)


def add_agent(chance: random.Random, now: Target | None) -> int:
    """One that runs ``now``, in a state that differs from that of others in little; returns its key."""

    def perhaps(usual: Any, *others: Any) -> Any:
        return usual if chance.random() < 0.9 else chance.choice(others)

    agent = Agent.objects.create(
        instance_uid=uuid4(),
        capabilities=perhaps(int(AgentCapabilities.ACCEPTS_REMOTE_CONFIG), 0),
        remote_config_hash=perhaps("", ONE, OTHER),
        remote_config_status=perhaps(RemoteConfigStatuses.UNSET, *RemoteConfigStatuses),
        configuration_name=now.name if now else "",
        configuration_revision=now.number if now else None,
        configuration_hash=now.hash if now else "",
        in_sync=perhaps(False, None, True),
        config_failed=perhaps(False, True),
        config_applying=perhaps(False, True),
        config_drifted=perhaps(False, True),
    )
    offered = perhaps(False, True)
    failed = {
        hashed: {"revision": now.revision_id if now else 1, "error": "no", "named": True} for hashed in (ONE, OTHER)
    }
    row = Assignment(
        agent=agent,
        configuration_id=now.configuration_id if now else None,
        revision_id=now.revision_id if now else None,
        reason=perhaps(Assignment.Reason.SELECTOR, *Assignment.Reason),
        assigned_at=BEFORE + timedelta(seconds=chance.randrange(100)),
        status=perhaps(AssignmentStatus.PENDING, *AssignmentStatus).value,
        status_at=BEFORE + timedelta(seconds=chance.randrange(100)),
        failures=perhaps({}, failed),
        error_message=perhaps("", "no"),
        rendering_error=perhaps("", "no such variable"),
        offered_hash=now.hash if offered and now else "",
        offered_lease=str(chance.random()) if offered else "",
        offered_at=BEFORE + timedelta(seconds=chance.randrange(100)) if offered else None,
        offer_count=chance.randrange(4) if offered else 0,
        retry_requested=perhaps(False, True),
    )
    if perhaps(True, False):
        row.save()
    return agent.pk


def assign_one_by_one(keys: list[int], targets: dict[int, Target | None]) -> None:
    work = UnitOfWork(AT)
    assigned = assigned_agents(list(Agent.objects.filter(pk__in=keys).locked()), work)
    events = [each.assign(targets[each.agent.pk]) for each in assigned]
    work.save()
    write_lines(event for event in events if event is not None)


def rows_of(keys: list[int]) -> list[Any]:
    agents = Agent.objects.filter(pk__in=keys).order_by("pk").values()
    assignments = Assignment.objects.filter(agent__in=keys).order_by("pk").values()
    lines = AgentEvent.objects.filter(agent__in=keys).order_by("agent", "pk").values()
    differs = {"id", "agent_id", "instance_uid", "first_seen_at"}
    return [
        [{name: value for name, value in row.items() if name not in differs} for row in rows]
        for rows in (agents, assignments, lines)
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(3))
def test_all_states_change_as_they_would_alone(seed: int) -> None:
    former = [None, target_of("a", ONE), target_of("b", OTHER)]
    wanted = [
        *former, target_of("a", ONE), target_of("a", OTHER), target_of("b", OTHER, pinned=True),
        target_of("c", ONE, templated=True), target_of("c", ONE, templated=True, error="no such variable"),
    ]  # fmt: skip
    twins: list[list[int]] = []
    chances: dict[int, Target | None] = {}
    for _ in range(2):
        chance = random.Random(seed)
        keys = []
        for _agent in range(400):
            key = add_agent(chance, chance.choice(former))
            chances[key] = chance.choice(wanted)
            keys.append(key)
        twins.append(keys)
    alone, alike = twins
    assign_one_by_one(alone, chances)
    moved = assign_alike(alike, lambda agents: [chances[agent.pk] for agent in agents], AT)
    assert rows_of(alike) == rows_of(alone)
    told = AgentEvent.objects.filter(agent__in=alike).values_list("agent__instance_uid", flat=True)
    assert sorted(moved) == sorted(told)


def add_alike(count: int, now: Target | None) -> list[int]:
    state = random.Random(7).getstate()
    keys = []
    for _ in range(count):
        chance = random.Random()
        chance.setstate(state)
        keys.append(add_agent(chance, now))
    return keys


@pytest.mark.django_db
def test_agents_that_change_alike_cost_no_statements_of_their_own() -> None:
    now, wanted = target_of("a", ONE), target_of("b", OTHER)
    spent = []
    for count in (2, 40):
        keys = add_alike(count, now)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert len(assign_alike(keys, lambda agents: [wanted for _agent in agents], AT)) == count
        spent.append(len(queries))
    assert spent[0] == spent[1]


@pytest.mark.django_db
def test_rows_that_stay_as_they_are_are_not_written() -> None:
    now, wanted = target_of("a", ONE), target_of("b", OTHER)
    keys = add_alike(6, now)
    assert assign_alike(keys, lambda agents: [now for _agent in agents], AT) == []
    assign_alike(keys, lambda agents: [wanted if agent.pk == keys[2] else now for agent in agents], AT)
    assert list(Assignment.objects.filter(assigned_at=AT).values_list("agent", flat=True)) == [keys[2]]
    assert AgentEvent.objects.count() == 1
    with CaptureQueriesContext(connection) as queries:
        assign_alike(keys, lambda agents: [wanted if agent.pk == keys[2] else now for agent in agents], AT)
    assert not [query for query in queries if not query["sql"].startswith("SELECT")]


@pytest.mark.django_db
def test_targets_are_chosen_by_uid_and_labels() -> None:
    agent = Agent.objects.get(pk=add_alike(1, None)[0])
    Agent.objects.filter(pk=agent.pk).update(labels={"env": "prod"})
    seen: list[MatchedAgent] = []

    def nothing(agents: Sequence[MatchedAgent]) -> list[None]:
        seen.extend(agents)
        return [None] * len(agents)

    assign_alike([agent.pk], nothing, AT)
    assert seen == [(agent.pk, agent.instance_uid, {"env": "prod"})]


@pytest.mark.django_db(transaction=True)
def test_every_line_is_told_to_subscribers() -> None:
    keys = add_alike(5, target_of("a", ONE))
    wanted = target_of("b", OTHER)
    with calls_with(AgentTimelineEvent) as calls, transaction.atomic():
        assign_alike(keys, lambda agents: [wanted for _agent in agents], AT)
    ((*events,),) = calls
    uids = dict(Agent.objects.values_list("pk", "instance_uid"))
    told = {(event.agent_id, event.instance_uid, event.kind, event.at, event.data["configuration"]) for event in events}
    assert told == {(key, uids[key], "assigned", AT, "b") for key in keys}
    assert len(events) == len(keys)
