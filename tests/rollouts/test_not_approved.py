"""Agents that await approval get nothing, and no rollout waits for them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agents.models import Agent, Approval
from rollouts.models import Rollout
from rollouts.subjects import MemberState, subject_of
from tests.rollouts.fleet import Fleet
from tests.rollouts.test_rolling_out import AT, NEW, OLD, fleet, publish, ticked  # noqa: F401  a fixture

pytestmark = pytest.mark.django_db(transaction=True)


def approval(remembering: Any, value: str) -> None:
    Agent.objects.filter(instance_uid=remembering.uid).update(approval=value)


def test_they_are_counted_apart_and_the_gate_passes_without_them(fleet: Fleet) -> None:  # noqa: F811
    waits, others = fleet.agents[0], fleet.agents[1:]
    approval(waits, Approval.PENDING)
    rollout = publish({"stages": [{"percent": 100}], "gate": {"applied_percent": 100}})
    fleet.wake()
    assert fleet.offered(NEW) == {agent.uid for agent in others}
    assert waits.latest == OLD
    counts = subject_of(rollout).counts(rollout, AT)
    assert (counts.waiting, counts.held) == (9, 1)
    states = {member.instance_uid: member.state for member in subject_of(rollout).members(rollout, AT)}
    assert states[waits.uid] is MemberState.HELD
    fleet.answer(others)
    counts = subject_of(rollout).counts(rollout, AT)
    assert (counts.applied, counts.waiting, counts.held) == (9, 0, 1)
    assert ticked(rollout, AT + timedelta(seconds=1)).state == Rollout.State.COMPLETED


def test_once_approved_it_gets_what_its_stage_has(fleet: Fleet) -> None:  # noqa: F811
    waits = fleet.agents[0]
    approval(waits, Approval.PENDING)
    rollout = publish({"stages": [{"percent": 100}]})
    fleet.wake()
    approval(waits, Approval.APPROVED)
    fleet.wake()
    assert waits.latest == NEW
    assert subject_of(rollout).counts(rollout, AT).held == 0
