"""Rollouts from the agents' side: nobody gets more than its stage has, gates hold, and going back gives what was before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts.models import AuditEntry, User
from agents.models import Agent
from agents.remote_config import ConfigFile
from agents.reports import RemoteConfigStatuses
from configurations.models import Configuration
from configurations.services.drafts import Draft
from configurations.services.publishing import (
    AT_ONCE,
    ReleasePlan,
    create_configuration,
    delete_configuration,
    update_configuration,
)
from rollouts.audiences import EVERYONE, AnyOf
from rollouts.errors import NotPossible, RolloutRunning, SamePerson
from rollouts.models import Rollout, RolloutStep
from rollouts.policies import parse_policy
from rollouts.progress import progress_of, staged_members
from rollouts.services import freezing, rolling_out
from rollouts.services.steps import Overtaken
from rollouts.services.ticking import tick, tick_all
from tests.rollouts.fleet import Fleet

pytestmark = pytest.mark.django_db(transaction=True)
AT = datetime(2026, 2, 3, 12, 0, tzinfo=UTC)
OLD, NEW = "receivers: {old: }\n", "receivers: {new: }\n"
FAILED = RemoteConfigStatuses.FAILED
State, Kind = Rollout.State, RolloutStep.Kind


def draft(text: str = NEW, **fields: Any) -> Draft:
    return Draft(**{"selector": {"env": "prod"}, "files": {"": ConfigFile(text.encode(), "text/yaml")}, **fields})


def publish(
    policy: Any = None, text: str = NEW, *, by: User | None = None, replace: bool = False, **fields: Any
) -> Any:
    """A new revision of the configuration; its rollout, if there is one."""
    form = {"stages": [{"count": 3}]} if policy is None else policy
    plan = ReleasePlan(parse_policy(form), replace=replace)
    update_configuration("c", draft(text, **fields), by=by, at=AT, force=True, plan=plan)
    return Rollout.objects.active().first()


@pytest.fixture
def fleet() -> Fleet:
    """Ten agents that have applied revision 1."""
    create_configuration("c", draft(OLD), by=None, at=AT, force=True)
    fleet = Fleet(AT)
    fleet.join(10, env="prod")
    fleet.answer(fleet.agents)
    assert fleet.offered(OLD) == {agent.uid for agent in fleet.agents}
    return fleet


def ticked(rollout: Rollout, at: datetime = AT) -> Rollout:
    tick_all(at)
    rollout.refresh_from_db()
    return rollout


def kinds(rollout: Rollout) -> list[str]:
    return [step.kind for step in rollout.steps.order_by("pk")]


def with_new(fleet: Fleet) -> list[Any]:
    return [agent for agent in fleet.agents if agent.latest == NEW]


def test_stages_follow_each_other_when_everybody_has_applied(fleet):
    rollout = publish({"stages": [{"count": 2}, {"percent": 60}], "gate": {"dwell_seconds": 60}})
    fleet.wake()
    assert len(with_new(fleet)) == 2
    ticked(rollout, AT + timedelta(hours=0))
    fleet.wake()
    assert len(with_new(fleet)) == 2
    fleet.answer(with_new(fleet))
    assert ticked(rollout, AT + timedelta(seconds=10)).held_since == AT + timedelta(seconds=10)
    assert ticked(rollout, AT + timedelta(seconds=69)).stage == 0
    assert ticked(rollout, AT + timedelta(seconds=70)).stage == 1
    fleet.wake()
    reached = AnyOf(tuple(rollout.stage_audiences()[:2]))
    assert fleet.offered(NEW) == {agent.uid for agent in fleet.agents if reached.includes(agent.uid, agent.labels)}
    fleet.answer(with_new(fleet))
    ticked(rollout, AT + timedelta(seconds=80))
    assert ticked(rollout, AT + timedelta(seconds=140)).stage == 2
    fleet.wake()
    fleet.answer(fleet.agents)
    ticked(rollout, AT + timedelta(seconds=150))
    assert ticked(rollout, AT + timedelta(seconds=210)).state == State.COMPLETED
    assert all(agent.offers == [OLD, NEW] for agent in fleet.agents)
    assert kinds(rollout) == [
        "started", "stage_began", "gate_passed", "stage_began", "gate_passed", "stage_began", "gate_passed", "completed",
    ]  # fmt: skip
    verbs = AuditEntry.objects.filter(verb__startswith="rollout.").order_by("pk").values_list("verb", flat=True)
    assert [verb.removeprefix("rollout.") for verb in verbs] == kinds(rollout)


def test_agents_outside_the_stage_are_in_sync_with_what_they_have(fleet):
    publish()
    fleet.wake()
    fleet.answer(with_new(fleet))
    rows = Agent.objects.order_by("configuration_revision")
    assert [row.configuration_revision for row in rows] == [1] * 7 + [2] * 3
    assert all(row.in_sync for row in rows)


def test_a_failure_pauses_and_roll_back_gives_what_was_before(fleet):
    rollout = publish()
    fleet.wake()
    canaries = with_new(fleet)
    fleet.answer(canaries[1:])
    fleet.answer(canaries[:1], FAILED, error="no such receiver")
    assert ticked(rollout).state == State.PAUSED
    assert rollout.reasons[0]["code"] == "gate-failed"
    ticked(rollout, AT + timedelta(days=1))
    fleet.wake()
    assert len(fleet.offered(NEW)) == 3
    rolling_out.roll_back_rollout(rollout.pk, by=None, at=AT)
    fleet.wake()
    assert {agent.latest for agent in fleet.agents} == {OLD}
    assert set(Agent.objects.values_list("configuration_revision", flat=True)) == {1}
    row = Configuration.objects.select_related("current").get()
    assert row.current.number == 1
    publish("at_once", "receivers: {third: }\n")
    assert Configuration.objects.select_related("current").get().current.number == 3


def test_a_failed_gate_rolls_back_by_itself_when_told_so(fleet):
    rollout = publish({"stages": [{"count": 3}], "on_gate_failure": "roll_back"})
    fleet.wake()
    fleet.answer(with_new(fleet), FAILED, error="no")
    assert ticked(rollout).state == State.ROLLED_BACK
    fleet.wake()
    assert {agent.latest for agent in fleet.agents} == {OLD}
    assert len(fleet.offered(NEW)) == 3
    assert kinds(rollout)[-2:] == ["gate_failed", "rolled_back"]


def test_a_silent_agent_does_not_hold_a_rollout_for_ever(fleet):
    rollout = publish({"stages": [{"count": 3}], "gate": {"timeout_seconds": 100}})
    fleet.wake()
    fleet.answer(with_new(fleet)[:2])
    assert ticked(rollout, AT + timedelta(seconds=99)).state == State.RUNNING
    assert rollout.reasons[0]["code"] == "gate-applied"
    assert ticked(rollout, AT + timedelta(seconds=100)).state == State.PAUSED
    assert [reason["code"] for reason in rollout.reasons] == ["gate-timeout", "gate-applied"]
    rolling_out.resume(rollout.pk, by=None, at=AT + timedelta(seconds=200))
    assert ticked(rollout, AT + timedelta(seconds=299)).state == State.RUNNING


def test_offline_agents_do_not_block(fleet):
    for agent in fleet.agents[:5]:
        fleet.leave(agent)
    rollout = publish({"stages": []})
    fleet.wake(fleet.agents[5:])
    fleet.answer(with_new(fleet))
    assert ticked(rollout).state == State.COMPLETED
    [stage] = progress_of(rollout, AT)
    assert (stage.counts.applied, stage.counts.offline) == (5, 5)


def test_agents_that_vanish_after_they_got_it_count(fleet):
    rollout = publish({"stages": [{"count": 3}], "gate": {"applied_percent": 0, "disconnected_percent_max": 50}})
    fleet.wake()
    fleet.answer(with_new(fleet))
    for agent in with_new(fleet)[:2]:
        fleet.leave(agent)
    assert ticked(rollout).stage == 0
    assert rollout.reasons[0]["code"] == "gate-disconnected"


def test_unhealthy_agents_hold_the_gate(fleet):
    rollout = publish({"stages": [{"count": 3}], "gate": {"healthy_percent": 100}})
    fleet.wake()
    fleet.answer(with_new(fleet), healthy=False)
    assert ticked(rollout).stage == 0
    assert rollout.reasons[0]["code"] == "gate-healthy"
    fleet.answer(with_new(fleet), healthy=True)
    assert ticked(rollout).stage == 1


def test_no_more_agents_than_allowed_are_in_flight(fleet):
    rollout = publish({"stages": [], "max_in_flight": 3})
    for reached in (3, 6, 9, 10):
        fleet.wake()
        assert len(with_new(fleet)) == reached
        ticked(rollout)
        fleet.wake()
        assert len(with_new(fleet)) == reached
        fleet.answer(with_new(fleet))
        ticked(rollout)
    assert ticked(rollout).state == State.COMPLETED
    assert all(agent.offers == [OLD, NEW] for agent in fleet.agents)


def test_agents_join_and_leave_with_their_stage(fleet):
    create_configuration("other", draft("other: {}\n", selector={"env": "dev"}), by=None, at=AT, force=True)
    outside = fleet.join(10, env="dev")
    fleet.answer(outside)
    rollout = publish({"stages": [{"count": 5}]}, OLD, selector={"env": "dev"}, priority=5)
    fleet.wake()
    moved = {agent.uid for agent in outside if agent.latest == OLD}
    members = {each.member.instance_uid: each.stage for each in staged_members(rollout, AT)}
    assert len(members) == 20
    assert moved == {agent.uid for agent in outside if members[agent.uid] == 1}
    left = Agent.objects.filter(configuration_name="")
    assert {agent.instance_uid for agent in left} == {
        agent.uid for agent in fleet.agents[:10] if members[agent.uid] == 1
    }
    fleet.answer(outside)
    rolling_out.roll_back_rollout(rollout.pk, by=None, at=AT)
    fleet.wake()
    assert {agent.latest for agent in outside} == {"other: {}\n"}
    assert Agent.objects.filter(configuration_name="c").count() == 10
    assert Configuration.objects.get(name="c").selector == {"env": "prod"}


def test_who_had_nothing_keeps_what_it_runs_and_is_listed(fleet):
    lonely = fleet.join(4, env="test")
    plan = ReleasePlan(parse_policy({"stages": [{"count": 2}]}))
    create_configuration("n", draft(NEW, selector={"env": "test"}), by=None, at=AT, force=True, plan=plan)
    fleet.wake()
    rollout = Rollout.objects.get()
    got = {str(agent.uid) for agent in lonely if agent.offers}
    assert len(got) == 2
    rolling_out.roll_back_rollout(rollout.pk, by=None, at=AT)
    fleet.wake()
    step = rollout.steps.get(kind=Kind.ROLLED_BACK)
    assert set(step.data["unassigned_agents"]) == got
    assert step.data["unassigned"] == 2
    assert Agent.objects.filter(configuration_name="n").count() == 0


def test_late_joiners_get_what_their_stage_has(fleet):
    rollout = publish({"stages": [{"percent": 30}]})
    late = fleet.join(30, env="prod")
    fleet.wake()
    stages = {each.member.instance_uid: each.stage for each in staged_members(rollout, AT)}
    assert {agent.latest for agent in late} == {OLD, NEW}
    assert all((agent.latest == NEW) == (stages[agent.uid] == 1) for agent in late)


def test_an_agent_whose_labels_change_moves_to_the_stage_it_belongs_to(fleet):
    publish({"stages": [{"selector": {"ring": "canary"}}]})
    fleet.wake()
    assert with_new(fleet) == []
    fleet.relabel(fleet.agents[4], ring="canary")
    assert with_new(fleet) == [fleet.agents[4]]


def test_a_second_rollout_is_refused_or_replaces_the_first(fleet):
    first = publish()
    with pytest.raises(RolloutRunning) as refused:
        publish({"stages": [{"count": 4}]}, "second: {}\n")
    assert refused.value.rollout_id == first.pk
    assert Configuration.objects.select_related("current").get().current.number == 2
    second = publish({"stages": [{"count": 4}]}, "second: {}\n", replace=True)
    fleet.wake()
    assert ticked(first).state == State.REPLACED
    assert second.pk != first.pk
    assert sum(agent.latest == "second: {}\n" for agent in fleet.agents) == 4


def test_an_urgent_publish_ends_a_rollout(fleet):
    first = publish()
    update_configuration("c", draft("now: {}\n"), by=None, at=AT, force=True, plan=AT_ONCE)
    fleet.wake()
    assert {agent.latest for agent in fleet.agents} == {"now: {}\n"}
    assert ticked(first).state == State.REPLACED
    with pytest.raises(NotPossible):
        rolling_out.roll_back_rollout(first.pk, by=None, at=AT)


def test_a_deleted_configuration_ends_its_rollout(fleet):
    rollout = publish()
    delete_configuration("c", by=None, at=AT)
    assert ticked(rollout).state == State.REPLACED
    assert list(staged_members(rollout, AT)) == []


def test_an_aborted_rollout_stays_where_it_is_and_can_be_rolled_back(fleet):
    rollout = publish()
    fleet.wake()
    fleet.answer(with_new(fleet))
    rolling_out.abort(rollout.pk, by=None, at=AT)
    ticked(rollout, AT + timedelta(days=1))
    fleet.wake()
    assert len(with_new(fleet)) == 3
    rolling_out.roll_back_rollout(rollout.pk, by=None, at=AT)
    fleet.wake()
    assert with_new(fleet) == []


def test_somebody_else_approves(fleet, alice):
    rollout = publish({"stages": [{"count": 3}], "approval": True}, by=alice)
    assert rollout.state == State.AWAITING_APPROVAL
    ticked(rollout)
    fleet.wake()
    assert fleet.offered(NEW) == set()
    with pytest.raises(SamePerson):
        rolling_out.approve(rollout.pk, by=alice, at=AT)
    rolling_out.approve(rollout.pk, by=User.objects.create_superuser("ann"), at=AT)
    fleet.wake()
    assert len(fleet.offered(NEW)) == 3


def test_what_nobody_approved_is_not_the_newest_any_more(fleet):
    rollout = publish({"approval": True})
    rolling_out.abort(rollout.pk, by=None, at=AT)
    assert Configuration.objects.select_related("current").get().current.number == 1
    assert fleet.offered(NEW) == set()


def test_stages_begin_in_the_maintenance_window_alone(fleet):
    window = {"from": "22:00", "to": "04:00", "timezone": "Europe/Berlin"}
    rollout = publish({"stages": [{"count": 3}], "window": window})
    ticked(rollout)
    fleet.wake()
    assert fleet.offered(NEW) == set()
    assert ticked(rollout, datetime(2026, 2, 3, 20, 59, tzinfo=UTC)).stage == -1
    assert ticked(rollout, datetime(2026, 2, 3, 21, 0, tzinfo=UTC)).stage == 0
    fleet.wake()
    fleet.answer(with_new(fleet))
    assert ticked(rollout, datetime(2026, 2, 4, 3, 0, tzinfo=UTC)).stage == 0
    assert ticked(rollout, datetime(2026, 2, 4, 21, 30, tzinfo=UTC)).stage == 1


def test_two_leaders_take_a_step_once(fleet):
    rollout = publish()
    fleet.wake()
    fleet.answer(with_new(fleet))
    other = Rollout.objects.get(pk=rollout.pk)
    tick(Rollout.objects.get(pk=rollout.pk), AT)
    with pytest.raises(Overtaken):
        tick(other, AT)
    assert kinds(rollout).count("stage_began") == 2


def test_pausing_keeps_the_next_stage_back(fleet):
    rollout = publish()
    fleet.wake()
    fleet.answer(with_new(fleet))
    rolling_out.pause(rollout.pk, by=None, at=AT)
    assert ticked(rollout).stage == 0
    with pytest.raises(NotPossible):
        rolling_out.pause(rollout.pk, by=None, at=AT)
    rolling_out.resume(rollout.pk, by=None, at=AT)
    assert ticked(rollout).stage == 1


def test_a_new_configuration_can_be_staged_by_default(fleet, settings):
    settings.ROLLOUT_POLICY = "canary"
    joined = fleet.join(40, env="test")
    create_configuration("n", draft(NEW, selector={"env": "test"}), by=None, at=AT, force=True)
    fleet.wake()
    # How many these are depends on the key of the configuration; of 40 it may be none.
    canaries = Rollout.objects.get(name="n").stage_audiences()[0]
    assert fleet.offered(NEW) == {agent.uid for agent in joined if canaries.includes(agent.uid, agent.labels)}
    assert len(fleet.offered(NEW)) < 20
    update_configuration("c", draft("now: {}\n", rollout_policy="at_once"), by=None, at=AT, force=True)
    fleet.wake()
    assert len(fleet.offered("now: {}\n")) == 10


def test_a_freeze_stops_a_rollout_and_its_clock(fleet, alice):
    rollout = publish({"stages": [{"count": 3}], "gate": {"timeout_seconds": 100}})
    fleet.wake()
    fleet.answer(with_new(fleet))
    freeze = freezing.start_freeze(EVERYONE, reason="incident", by=alice, at=AT)
    assert ticked(rollout, AT + timedelta(seconds=200)).stage == 0
    assert rollout.reasons[0]["code"] == "rollout-frozen"
    freezing.end_freeze(freeze.pk, by=alice, at=AT + timedelta(seconds=300))
    assert ticked(rollout, AT + timedelta(seconds=300)).stage == 1


def test_a_paused_agent_does_not_hold_the_gate(fleet, alice):
    freezing.pause_agents([Agent.objects.get(instance_uid=fleet.agents[0].uid).pk], reason="r", by=alice, at=AT)
    rollout = publish({"stages": []})
    fleet.wake()
    assert len(with_new(fleet)) == 9
    fleet.answer(with_new(fleet))
    assert progress_of(rollout, AT)[0].counts.held == 1
    assert ticked(rollout).state == State.COMPLETED
