"""Several people at once: no change of a value is lost, and agents have what the last one gave or what they held."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from configurations.models import HeldValue, Revision
from configurations.services.publishing import ReleasePlan, update_configuration
from configurations.services.rerendering import tidy_held_values
from rollouts.errors import RolloutRunning
from rollouts.models import Rollout
from rollouts.policies import parse_policy
from rollouts.services import rolling_out
from tests.rollouts.fleet import Fleet
from tests.rollouts.test_rolling_out import AT
from tests.variables.test_value_rollouts import POLICY, draft, latest, make, variable
from variables.models import ValueVersion, Variable
from variables.services import value_edits

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*acts: Callable[[], Any]) -> list[Exception | None]:
    """All of these begun at the same moment; what each raised."""
    barrier = threading.Barrier(len(acts))
    raised: list[Exception | None] = [None] * len(acts)

    def run(number: int, act: Callable[[], Any]) -> None:
        try:
            barrier.wait(timeout=30)
            act()
        except Exception as error:  # noqa: BLE001  the test judges it
            raised[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert not any(thread.is_alive() for thread in threads)
    return raised


@pytest.fixture
def fleet() -> Fleet:
    variable("one")
    make()
    fleet = Fleet(AT)
    fleet.join(6, env="prod")
    fleet.answer(fleet.agents)
    return fleet


def test_of_two_changes_of_one_value_one_starts_and_the_other_is_refused(fleet):
    raised = at_once(lambda: variable("two"), lambda: variable("three"))
    assert sorted(error is None for error in raised) == [False, True]
    assert {type(error) for error in raised if error is not None} == {RolloutRunning}
    won = "two" if raised[0] is None else "three"
    assert Variable.objects.get().value == won
    assert Rollout.objects.count() == 1
    assert ValueVersion.objects.count() == 1
    fleet.wake()
    assert latest(fleet) == {"one": 4, won: 2}


def test_two_edits_of_other_columns_are_both_kept():
    row = variable("one").row
    assert isinstance(row, Variable)
    raised = at_once(
        lambda: value_edits.save_variable(row, {"value": "two"}, by=None, at=AT),
        lambda: value_edits.save_variable(row, {"description": "said"}, by=None, at=AT),
    )
    assert raised == [None, None]
    kept = Variable.objects.get()
    assert (kept.value, kept.description) == ("two", "said")


def test_a_value_that_changes_while_its_configuration_is_rolled_out(fleet):
    plan = ReleasePlan(parse_policy(POLICY))
    text = "receivers: {{ vars.a }}-new\n"
    raised = at_once(
        lambda: update_configuration("c", draft(text), by=None, at=AT, force=True, plan=plan),
        lambda: variable("two"),
    )
    # Whoever came second is refused, and nothing of it is there.
    assert sorted(error is None for error in raised) == [False, True]
    assert (Rollout.objects.count(), Revision.objects.count()) == (1, 2)
    fleet.wake()
    if raised[0] is None:
        assert Variable.objects.get().value == "one"
        assert not HeldValue.objects.exists()
        assert latest(fleet) == {"one": 4, "one-new": 2}
    else:
        assert latest(fleet) == {"one": 4, "two": 2}


def test_a_roll_back_while_the_value_is_replaced(fleet):
    variable("two")
    rollout = Rollout.objects.get()
    fleet.wake()
    fleet.answer(fleet.agents)
    raised = at_once(
        lambda: rolling_out.roll_back_rollout(rollout.pk, by=None, at=AT),
        lambda: variable("three", replace=True),
        lambda: tidy_held_values(AT),
    )
    assert raised[1:] == [None, None]
    assert Variable.objects.get().value == "three"
    fleet.wake()
    # Rolled back first the canaries had the first value again; else the second, until the new stage gave them the third.
    assert latest(fleet) == {"one": 4, "three": 2}
    rolling_out.roll_back_rollout(Rollout.objects.active().get().pk, by=None, at=AT)
    fleet.wake()
    assert latest(fleet) == ({"one": 6} if raised[0] is None else {"one": 4, "two": 2})
