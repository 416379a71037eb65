"""Rollouts of fragments: in stages, with gates, and back; counted by what the agents said of all their files together."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agents.models import Agent
from agents.reports import RemoteConfigStatuses
from configurations.models import CompositionPart, Configuration
from configurations.pending_stages import waits_for
from configurations.services.collisions import FilesCollide
from configurations.services.publishing import ReleasePlan, create_configuration, update_configuration
from rollouts.models import Rollout
from rollouts.policies import parse_policy
from rollouts.progress import progress_of, staged_members
from rollouts.services import rolling_out
from rollouts.services.ticking import tick_all
from rollouts.subjects import subject_of
from tests.configurations.test_fragments import LOGS, LOGS2, METRICS, fragment
from tests.rollouts.fleet import Fleet
from tests.rollouts.test_rolling_out import AT, NEW, OLD, draft

pytestmark = pytest.mark.django_db(transaction=True)
STAGES = {"stages": [{"percent": 10}, {"percent": 50}], "gate": {"applied_percent": 100, "dwell_seconds": 60}}


@pytest.fixture
def fleet() -> Fleet:
    """Forty agents that have applied a whole and a fragment, and five that have the fragment alone."""
    create_configuration("c", draft(OLD), by=None, at=AT, force=True)
    create_configuration("logs", fragment("logs", LOGS, selector={}, match_all=True), by=None, at=AT, force=True)
    fleet = Fleet(AT)
    fleet.join(40, env="prod")
    fleet.join(5, env="lab")
    fleet.answer(fleet.agents)
    return fleet


def publish(policy: Any = STAGES, text: str = LOGS2, **fields: Any) -> Rollout:
    wanted = fragment("logs", text, **{"selector": {}, "match_all": True, **fields})
    plan = ReleasePlan(parse_policy(policy))
    update_configuration("logs", wanted, by=None, at=AT, force=True, plan=plan)
    return Rollout.objects.get(ended_at=None)


def ticked(rollout: Rollout, seconds: float = 0) -> Rollout:
    tick_all(AT + timedelta(seconds=seconds))
    rollout.refresh_from_db()
    return rollout


def with_new(fleet: Fleet) -> list[Any]:
    return [agent for agent in fleet.agents if LOGS2 in agent.latest]


def test_stages_follow_each_other_and_whoever_is_outside_keeps_what_it_has(fleet):
    rollout = publish()
    fleet.wake()
    first = with_new(fleet)
    members = list(staged_members(rollout, AT))
    assert len(members) == 45
    assert {each.member.instance_uid for each in members if each.stage == 1} == {agent.uid for agent in first}
    assert 0 < len(first) < 20
    counts = subject_of(rollout).counts(rollout, AT)
    assert (counts.waiting, counts.applied) == (len(first), 0)
    outside = next(agent for agent in fleet.agents if agent not in first)
    assert Agent.objects.get(instance_uid=outside.uid).in_sync
    assert waits_for(Agent.objects.get(instance_uid=outside.uid))[0].stage > 1
    fleet.answer(first)
    ticked(rollout, 1)
    assert ticked(rollout, 61).stage == 1
    fleet.wake()
    assert len(first) < len(with_new(fleet)) < 45
    fleet.answer(with_new(fleet))
    ticked(rollout, 70)
    assert ticked(rollout, 131).stage == 2
    fleet.wake()
    assert len(with_new(fleet)) == 45
    fleet.answer(fleet.agents)
    ticked(rollout, 140)
    assert ticked(rollout, 201).state == Rollout.State.COMPLETED
    assert [progress.counts.applied for progress in progress_of(rollout, AT)] == [
        progress.agents for progress in progress_of(rollout, AT)
    ]
    offered = {tuple(agent.offers) for agent in fleet.agents}
    assert offered == {(OLD + LOGS, OLD + LOGS2), (LOGS, LOGS2)}


def test_a_failed_gate_takes_the_fragment_back_and_the_whole_stays(fleet):
    rollout = publish({**STAGES, "on_gate_failure": "roll_back"})
    fleet.wake()
    reached = with_new(fleet)
    fleet.answer(reached[:1], RemoteConfigStatuses.FAILED, error="no")
    assert subject_of(rollout).counts(rollout, AT).failed == 1
    assert ticked(rollout, 1).state == Rollout.State.ROLLED_BACK
    fleet.answer(reached[1:])
    fleet.wake()
    assert not [agent for agent in reached[1:] if LOGS2 in agent.latest]
    assert Configuration.objects.get(name="logs").current.number == 1
    assert set(Agent.objects.values_list("configuration_name", flat=True)) == {"c", ""}
    parts = CompositionPart.objects.filter(revision__number=2, composition__assignments__isnull=False)
    assert not parts.exists()


def test_agents_that_had_nothing_before_are_listed_when_it_is_rolled_back(fleet):
    create_configuration(
        "metrics", fragment("metrics", METRICS, selector={"env": "edge"}), by=None, at=AT, force=True,
        plan=ReleasePlan(parse_policy({"stages": [{"percent": 100}], "gate": {"dwell_seconds": 600}})),
    )  # fmt: skip
    rollout = Rollout.objects.get(ended_at=None)
    update_configuration("logs", fragment("logs", LOGS, selector={"env": "prod"}), by=None, at=AT, force=True)
    (alone,) = fleet.join(1, env="edge")
    assert alone.latest == METRICS
    rolled = rolling_out.roll_back_rollout(rollout.pk, by=None, at=AT)
    step = rolled.steps.get(kind="rolled_back")
    assert step.data["unassigned_agents"] == [str(alone.uid)]


def test_a_rollout_of_the_whole_counts_agents_with_fragments(fleet):
    plan = ReleasePlan(parse_policy(STAGES))
    update_configuration("c", draft(NEW), by=None, at=AT, force=True, plan=plan)
    rollout = Rollout.objects.get(ended_at=None)
    fleet.wake()
    reached = [agent for agent in fleet.agents if agent.latest == NEW + LOGS]
    assert reached
    fleet.answer(reached)
    counts = subject_of(rollout).counts(rollout, AT)
    assert (counts.applied, counts.waiting) == (len(reached), 0)
    rolling_out.roll_back_rollout(rollout.pk, by=None, at=AT)
    fleet.wake()
    assert {agent.latest for agent in reached} == {OLD + LOGS}


def test_two_rollouts_meet_at_one_agent(fleet):
    publish()
    update_configuration("c", draft(NEW), by=None, at=AT, force=True, plan=ReleasePlan(parse_policy(STAGES)))
    fleet.wake()
    texts = {agent.latest for agent in fleet.agents[:40]}
    assert texts <= {OLD + LOGS, NEW + LOGS, OLD + LOGS2, NEW + LOGS2}
    assert len(texts) > 1
    for number in range(12):
        fleet.answer(fleet.agents)
        tick_all(AT + timedelta(seconds=61 * number))
        fleet.wake()
    assert {agent.latest for agent in fleet.agents} == {NEW + LOGS2, LOGS2}
    assert not Rollout.objects.filter(ended_at=None).exists()


def test_what_waits_for_its_approval_collides_already(fleet):
    publish({"stages": [{"percent": 100}], "approval": True}, selector={"env": "prod"}, match_all=False)
    with pytest.raises(FilesCollide):
        create_configuration("more", fragment("logs", METRICS, selector={"env": "prod"}), by=None, at=AT, force=True)
