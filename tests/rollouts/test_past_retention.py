"""What ended long ago goes; what is in force, or can be rolled back yet, stays."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command

from agents.models import Agent
from agents.services import retention
from configurations.models import Configuration
from configurations.services.publishing import create_configuration, delete_configuration
from rollouts.audiences import EVERYONE
from rollouts.models import Freeze, Release, Rollout, RolloutStep
from rollouts.services import freezing, past_retention, rolling_out
from tests.rollouts.fleet import Fleet
from tests.rollouts.test_rolling_out import AT, NEW, OLD, draft, publish, ticked

pytestmark = pytest.mark.django_db(transaction=True)
LATER = AT + timedelta(days=366)


@pytest.fixture
def fleet() -> Fleet:
    create_configuration("c", draft(OLD), by=None, at=AT, force=True)
    fleet = Fleet(AT)
    fleet.join(4, env="prod")
    fleet.answer(fleet.agents)
    return fleet


def pruned(at=LATER) -> dict[str, int]:
    kinds = {kind.value: kind for kind in retention.pruned_kinds()}
    return {name: sum(retention.prune(kinds[name], at=at)) for name in ("rollouts", "releases", "freezes")}


def finished(fleet: Fleet, text: str = NEW) -> Rollout:
    rollout = publish({"stages": [{"count": 2}]}, text)
    for _step in range(4):
        fleet.wake()
        fleet.answer(fleet.agents)
        ticked(rollout)
    assert rollout.state == Rollout.State.COMPLETED
    return rollout


def test_a_finished_rollout_goes_with_its_steps_and_what_it_put_out_of_force(fleet):
    finished(fleet)
    present = Release.objects.get(ended_at=None)
    assert pruned(AT + timedelta(days=364)) == {"rollouts": 0, "releases": 0, "freezes": 0}
    assert pruned() == {"rollouts": 1, "releases": 0, "freezes": 0}
    assert not Rollout.objects.exists()
    assert not RolloutStep.objects.exists()
    # Agents can still be pinned to the first revision.
    assert Release.objects.count() == 2
    assert Configuration.objects.get().current.release_id == present.pk
    # Targeting is what it was.
    fleet.join(1, env="prod")
    assert fleet.agents[-1].latest == NEW
    assert set(Agent.objects.values_list("configuration_revision", flat=True)) == {2}


def test_what_a_running_rollout_gives_back_stays(fleet):
    rollout = publish({"stages": [{"count": 2}]})
    assert pruned() == {"rollouts": 0, "releases": 0, "freezes": 0}
    fleet.wake()
    rolling_out.roll_back_rollout(rollout.pk, by=None, at=AT)
    fleet.wake()
    assert {agent.latest for agent in fleet.agents} == {OLD}
    assert pruned() == {"rollouts": 1, "releases": 0, "freezes": 0}


def test_releases_of_what_is_deleted_go(fleet):
    finished(fleet)
    delete_configuration("c", by=None, at=AT)
    assert pruned(AT + timedelta(days=364)) == {"rollouts": 0, "releases": 0, "freezes": 0}
    # In this order they go in one run: a rollout may tell of its release.
    assert pruned() == {"rollouts": 1, "releases": 2, "freezes": 0}
    assert not Release.objects.exists()


def test_an_aborted_one_that_can_be_rolled_back_stays(fleet):
    rollout = publish({"stages": [{"count": 2}]})
    fleet.wake()
    rolling_out.abort(rollout.pk, by=None, at=AT)
    assert pruned() == {"rollouts": 0, "releases": 0, "freezes": 0}
    rolling_out.roll_back_rollout(rollout.pk, by=None, at=LATER)
    fleet.wake()
    assert {agent.latest for agent in fleet.agents} == {OLD}


def test_freezes_that_ended(fleet):
    def freeze():
        return freezing.start_freeze(EVERYONE, reason="a test", by=None, at=AT, expires_at=None)

    ended = freeze()
    freezing.end_freeze(ended.pk, by=None, at=AT)
    lasting = freeze()
    assert pruned() == {"rollouts": 0, "releases": 0, "freezes": 1}
    assert Freeze.objects.get() == lasting


def test_nothing_goes_when_it_is_kept_for_ever(fleet, settings, capsys):
    finished(fleet)
    settings.ROLLOUT_RETENTION_DAYS = 0
    assert pruned() == {"rollouts": 0, "releases": 0, "freezes": 0}
    settings.ROLLOUT_RETENTION_DAYS = 1
    call_command("prune", "--dry-run")
    assert "rollouts: " in capsys.readouterr().out


def test_so_many_at_a_time(fleet, monkeypatch):
    for number in range(3):
        finished(fleet, f"n: {number}\n")
    monkeypatch.setattr(retention, "BATCH", 2)
    assert [list(retention.prune(kind, at=LATER)) for kind in past_retention.KINDS] == [[2, 1], []]
