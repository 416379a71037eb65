"""Going on with a scheduled rollout before its window opens: how far that reaches, and what it does not pass over."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rollouts.errors import NotPossible
from rollouts.models import Rollout
from rollouts.services import rolling_out
from tests.rollouts.test_rolling_out import AT, FAILED, NEW, Kind, State, fleet, publish, ticked

__all__ = ["fleet"]
pytestmark = pytest.mark.django_db(transaction=True)


def test_a_stage_begun_outside_the_window_lets_all_its_agents_in(fleet):
    """And what comes after it waits for the window again."""
    closed = {"from": "13:00", "to": "14:00"}
    rollout = publish({"stages": [{"count": 4}], "max_in_flight": 2, "window": closed})
    assert rollout.state_at(AT) == State.SCHEDULED
    rolling_out.begin_now(rollout.pk, by=None, at=AT)
    for expected in (2, 4):
        assert ticked(rollout).state_at(AT) == State.RUNNING
        fleet.wake()
        assert len(fleet.offered(NEW)) == expected
        fleet.answer(fleet.agents)
    # The first looks at who is in, the second at the gate.
    ticked(rollout)
    assert ticked(rollout).state_at(AT) == State.SCHEDULED
    fleet.wake()
    assert len(fleet.offered(NEW)) == 4
    assert ticked(rollout, AT + timedelta(hours=1)).state_at(AT + timedelta(hours=1)) == State.RUNNING
    fleet.wake()
    assert len(fleet.offered(NEW)) == 6
    # It closed before all were in: the others wait for it, or for a person.
    late = AT + timedelta(hours=2)
    assert ticked(rollout, late).state_at(late) == State.SCHEDULED
    assert list(Rollout.objects.in_states(["scheduled"], late)) == [rollout]
    assert not Rollout.objects.in_states(["running"], late)
    rolling_out.begin_now(rollout.pk, by=None, at=late)
    fleet.answer(fleet.agents)
    ticked(rollout, late)
    fleet.wake()
    assert len(fleet.offered(NEW)) > 6


def test_a_gate_is_not_passed_over_by_hand(fleet):
    rollout = publish({"stages": [{"count": 3}], "window": {"from": "11:00", "to": "12:30"}})
    late = AT + timedelta(hours=1)
    assert ticked(rollout, AT).state_at(late) == State.RUNNING
    with pytest.raises(NotPossible, match="running"):
        rolling_out.begin_now(rollout.pk, by=None, at=late)
    fleet.wake()
    fleet.answer(fleet.agents)
    assert ticked(rollout, late).state_at(late) == State.SCHEDULED
    # One of them says no since the gate was looked at.
    fleet.answer([agent for agent in fleet.agents if agent.latest == NEW][:1], FAILED, error="no")
    with pytest.raises(NotPossible, match="1 agents failed to apply it"):
        rolling_out.begin_now(rollout.pk, by=None, at=late)
    assert not rollout.steps.filter(kind=Kind.BEGUN_NOW)
