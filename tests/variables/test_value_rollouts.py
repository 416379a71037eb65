"""A changed value goes out as each configuration's policy has it: agents outside the stage keep what the old one gave."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings

from agents.models import Agent
from agents.redaction import HIDDEN
from agents.redaction.known import known_hidden
from agents.remote_config import ConfigFile
from agents.reports import RemoteConfigStatuses
from configurations.models import Configuration, HeldValue, Revision
from configurations.rendered_files import revision_shown_for
from configurations.services import pinning
from configurations.services.drafts import Draft
from configurations.services.edit_errors import ReleaseUnfinished
from configurations.services.publishing import ReleasePlan, create_configuration, update_configuration
from configurations.services.rerendering import tidy_held_values
from foundation.messages import Message
from rollouts.errors import RolloutRunning
from rollouts.models import Rollout
from rollouts.policies import parse_policy
from rollouts.services import rolling_out
from rollouts.services.ticking import tick_all
from tests.rollouts.fleet import Fleet
from tests.rollouts.test_rolling_out import AT
from variables.models import Secret, ValueVersion, Variable
from variables.services import known_values, value_edits

pytestmark = pytest.mark.django_db(transaction=True)
POLICY = {"stages": [{"count": 2}], "gate": {"dwell_seconds": 0}}
TEXT = "receivers: {{ vars.a }}\n"
SECRET = "x: {{ secrets.s }}\n"
State = Rollout.State


def draft(text: str = TEXT, policy: Any = POLICY, **fields: Any) -> Draft:
    files = {"": ConfigFile(text.encode(), "text/yaml", template=True)}
    return Draft(**{"selector": {"env": "prod"}, "files": files, "rollout_policy": policy, **fields})


def make(name: str = "c", text: str = TEXT, policy: Any = POLICY, **fields: Any) -> None:
    create_configuration(
        name, draft(text, policy, **fields), by=None, at=AT, force=True, plan=ReleasePlan(parse_policy("at_once"))
    )


def variable(value: str, *, replace: bool = False, dry_run: bool = False, **columns: Any) -> value_edits.Change:
    row = Variable.objects.filter(name="a", selector=columns.get("selector", {})).first()
    return value_edits.save_variable(
        row, {"name": "a", "value": value, **columns}, by=None, at=AT, replace=replace, dry_run=dry_run
    )


def secret(value: str, **options: Any) -> value_edits.Change:
    row = Secret.objects.filter(name="s").first()
    return value_edits.save_secret(row, {"name": "s", "value": value}, by=None, at=AT, **options)


def latest(fleet: Fleet) -> dict[str, int]:
    found: dict[str, int] = {}
    for agent in fleet.agents:
        text = agent.latest.split(": ", 1)[1].strip()
        found[text] = found.get(text, 0) + 1
    return found


def carried_through(fleet: Fleet, rollout: Rollout) -> None:
    """Every agent applies what it is offered until the rollout has ended."""
    for _step in range(6):
        fleet.wake()
        fleet.answer(fleet.agents)
        tick_all(AT + timedelta(seconds=5))
    rollout.refresh_from_db()
    assert rollout.state == State.COMPLETED


@pytest.fixture
def fleet() -> Fleet:
    """Six agents that have applied revision 1 with the first value."""
    variable("one")
    make()
    fleet = Fleet(AT)
    fleet.join(6, env="prod")
    fleet.answer(fleet.agents)
    assert latest(fleet) == {"one": 6}
    return fleet


def test_only_the_stage_gets_the_new_value_and_the_others_stay_in_sync(fleet):
    change = variable("two")
    rollout = Rollout.objects.active().get()
    (effect,) = change.rollouts
    assert effect.planned is not None
    assert effect.planned.rollout == rollout
    assert [stage.agents for stage in effect.planned.stages] == [2, 4]
    fleet.wake()
    assert latest(fleet) == {"one": 4, "two": 2}
    fleet.answer(fleet.agents)
    assert set(Agent.objects.values_list("in_sync", flat=True)) == {True}
    one, two = Revision.objects.order_by("number")
    assert (one.files, one.hash) == (two.files, two.hash)
    assert Configuration.objects.get().current_id == two.pk
    assert "one" in str(revision_shown_for(one, {"env": "prod"}).files)
    assert "two" in str(revision_shown_for(two, {"env": "prod"}).files)
    # Who joins gets what the stage has that it belongs to, of either value.
    fleet.join(12, env="prod")
    assert latest(fleet)["one"] >= 5
    carried_through(fleet, rollout)
    assert latest(fleet) == {"two": 18}


def test_roll_back_gives_what_the_former_value_gave(fleet):
    variable("two")
    rollout = Rollout.objects.active().get()
    fleet.wake()
    fleet.answer(fleet.agents)
    rolling_out.roll_back_rollout(rollout.pk, by=None, at=AT)
    fleet.wake()
    assert latest(fleet) == {"one": 6}
    assert Variable.objects.get().value == "two"
    tidy_held_values(AT)
    assert HeldValue.objects.count() == 1
    fleet.join(3, env="prod")
    assert latest(fleet) == {"one": 9}
    value_edits.save_variable(Variable.objects.get(), {"description": "said"}, by=None, at=AT)
    assert not Rollout.objects.active().exists()
    # Saving it once more brings it out again, and what was held stays what it was.
    variable("two")
    again = Rollout.objects.active().get()
    fleet.wake()
    assert latest(fleet)["two"] == 2
    carried_through(fleet, again)
    assert latest(fleet) == {"two": 9}


def test_versions_are_kept_while_something_is_rendered_with_them(fleet):
    variable("two")
    assert ValueVersion.objects.get().choices == [{"selector": {}, "match_all": True, "value": "one"}]
    assert tidy_held_values(AT) == 0
    carried_through(fleet, Rollout.objects.active().get())
    assert tidy_held_values(AT) == 1
    assert not HeldValue.objects.exists()
    assert not ValueVersion.objects.exists()
    assert tidy_held_values(AT) == 0
    fleet.wake()
    assert latest(fleet) == {"two": 6}


def test_versions_of_deleted_configurations_go(fleet):
    from configurations.services.publishing import delete_configuration

    variable("two")
    delete_configuration("c", by=None, at=AT)
    assert not HeldValue.objects.exists()
    tidy_held_values(AT)
    assert not ValueVersion.objects.exists()


def test_each_configuration_goes_its_own_way(fleet):
    make("now", policy="at_once", selector={"env": "dev"})
    fleet.join(2, env="dev")
    fleet.answer(fleet.agents)
    change = variable("two")
    assert [(item.name, item.planned is not None) for item in change.effects] == [("c", True), ("now", False)]
    fleet.wake()
    assert latest(fleet) == {"one": 4, "two": 4}


def test_a_change_that_changes_nobodys_files_starts_nothing(fleet):
    variable("eu", selector={"region": "eu"}, match_all=False, priority=5)
    value_edits.save_variable(Variable.objects.get(selector={}), {"description": "said"}, by=None, at=AT)
    assert not Rollout.objects.exists()
    assert Revision.objects.count() == 1


def test_a_rollout_that_runs_is_in_the_way_unless_it_is_replaced(fleet):
    variable("two")
    first = Rollout.objects.active().get()
    fleet.wake()
    fleet.answer(fleet.agents)
    assert variable("three", dry_run=True).obstructed[0].name == "c"
    with pytest.raises(RolloutRunning) as refused:
        variable("three")
    assert str(first.pk) in str(refused.value)
    assert Variable.objects.get().value == "two"
    assert Revision.objects.count() == 2
    variable("three", replace=True)
    first.refresh_from_db()
    assert first.state == State.REPLACED
    second = Rollout.objects.active().get()
    fleet.wake()
    assert latest(fleet) == {"one": 4, "three": 2}
    rolling_out.roll_back_rollout(second.pk, by=None, at=AT)
    fleet.wake()
    # What each had before: the canaries the second value, which the first rollout left them.
    assert latest(fleet) == {"one": 4, "two": 2}
    with pytest.raises(ReleaseUnfinished):
        variable("four")
    variable("four", replace=True)
    carried_through(fleet, Rollout.objects.active().get())
    assert latest(fleet) == {"four": 6}


def test_a_rollout_of_files_is_in_the_way_of_a_value_that_its_later_agents_would_get(fleet):
    plan = ReleasePlan(parse_policy({"stages": [{"count": 2}], "approval": True}))
    update_configuration("c", draft("x: {{ vars.a }}\n"), by=None, at=AT, force=True, plan=plan)
    with pytest.raises(RolloutRunning):
        variable("two")
    # A value for others is not.
    variable("eu", selector={"region": "eu"}, match_all=False)
    variable("two", replace=True)
    fleet.wake()
    assert latest(fleet) == {"one": 4, "two": 2}


def test_an_at_once_configuration_with_a_rollout_keeps_the_revisions_of_each(fleet):
    update_configuration("c", draft(policy="at_once"), by=None, at=AT, force=True)
    plan = ReleasePlan(parse_policy(POLICY))
    update_configuration("c", draft("x: {{ vars.a }}\n", "at_once"), by=None, at=AT, force=True, plan=plan)
    with pytest.raises(RolloutRunning):
        variable("two")
    variable("two", replace=True)
    fleet.wake()
    texts = sorted(agent.latest for agent in fleet.agents)
    assert texts == ["receivers: two\n"] * 4 + ["x: two\n"] * 2


def test_a_new_variable_and_one_that_goes_are_changes_too(fleet):
    change = variable("eu", selector={"env": "prod"}, match_all=False, priority=5)
    assert change.rollouts
    fleet.wake()
    assert latest(fleet) == {"one": 4, "eu": 2}
    carried_through(fleet, Rollout.objects.active().get())
    assert value_edits.delete(Variable.objects.get(selector={"env": "prod"}), by=None, at=AT).rollouts
    fleet.wake()
    assert latest(fleet) == {"eu": 4, "one": 2}


def test_what_another_roll_back_holds_stays_held_by_a_change_of_something_else(fleet):
    value_edits.save_variable(None, {"name": "b", "value": "x"}, by=None, at=AT)
    text = "receivers: {{ vars.a }}{{ vars.b }}\n"
    plan = ReleasePlan(parse_policy("at_once"), replace=True)
    update_configuration("c", draft(text), by=None, at=AT, force=True, plan=plan)
    fleet.wake()
    fleet.answer(fleet.agents)
    variable("two")
    rolling_out.roll_back_rollout(Rollout.objects.active().get().pk, by=None, at=AT)
    value_edits.save_variable(Variable.objects.get(name="b"), {"value": "y"}, by=None, at=AT)
    carried_through(fleet, Rollout.objects.active().get())
    tidy_held_values(AT)
    assert latest(fleet) == {"oney": 6}
    # A publish takes the present values.
    update_configuration("c", draft(text + "# new\n"), by=None, at=AT, force=True, plan=plan)
    fleet.wake()
    assert {agent.latest for agent in fleet.agents} == {"receivers: twoy\n# new\n"}


def test_a_pinned_agent_keeps_the_former_value_until_the_rollout_has_finished(fleet):
    pinned = fleet.agents[0]
    pinning.pin_agent(
        Agent.objects.get(instance_uid=pinned.uid).pk,
        configuration="c", revision=1, reason="a test", expires_at=None, by=None, at=AT,
    )  # fmt: skip
    variable("two")
    rollout = Rollout.objects.active().get()
    carried_through(fleet, rollout)
    assert pinned.latest == "receivers: one\n"
    assert tidy_held_values(AT) == 1
    fleet.wake()
    assert pinned.latest == "receivers: two\n"


class TestSecrets:
    """Versions are encrypted, hidden and rotated as the present values are."""

    @pytest.fixture
    def fleet(self) -> Fleet:
        secret("first-secret-value")
        make(text=SECRET)
        fleet = Fleet(AT)
        fleet.join(4, env="prod")
        fleet.answer(fleet.agents)
        return fleet

    def test_both_values_are_in_force_and_hidden(self, fleet):
        secret("second-secret-value")
        fleet.wake()
        assert latest(fleet) == {"first-secret-value": 2, "second-secret-value": 2}
        version = ValueVersion.objects.get()
        assert "first-secret-value" not in str(vars(version))
        # Longer than the former values that a secret remembers by itself.
        for number in range(5):
            secret(f"another-secret-{number}", replace=True)
        assert Secret.objects.get().former[-1] != version.encrypted
        known_values._hidden.clear()
        known_values.know_stored_secrets()
        assert known_hidden("a first-secret-value b") == f"a {HIDDEN} b"
        rendered = revision_shown_for(Revision.objects.get(number=1), {"env": "prod"})
        assert "first-secret-value" not in str(rendered)

    def test_rotation_writes_every_version_anew(self, fleet):
        with override_settings(SECRETS_KEYS=["k" * 40]):
            secret("second-secret-value")
        before = ValueVersion.objects.get().encrypted
        with override_settings(SECRETS_KEYS=["n" * 40, "k" * 40]):
            assert value_edits.rotate(at=AT) == (1, [])
        assert ValueVersion.objects.get().encrypted != before
        with override_settings(SECRETS_KEYS=["n" * 40]):
            known_values._known = None
            fleet.wake()
            assert latest(fleet) == {"first-secret-value": 2, "second-secret-value": 2}


def test_a_start_that_fails_leaves_nothing_behind(fleet, monkeypatch):
    from configurations.services import value_rollouts

    def fails(*_args: Any, **_named: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(value_rollouts, "start_rollout", fails)
    with pytest.raises(RuntimeError):
        variable("two")
    assert Variable.objects.get().value == "one"
    assert (Revision.objects.count(), HeldValue.objects.count(), ValueVersion.objects.count()) == (1, 0, 0)
    fleet.wake()
    assert latest(fleet) == {"one": 6}


def test_template_failures_count_as_failed_at_the_gate(fleet):
    update_configuration(
        "c", draft("receivers: {{ vars.a }}{{ labels.zone }}\n"), by=None, at=AT, force=True,
        plan=ReleasePlan(parse_policy(POLICY)),
    )  # fmt: skip
    fleet.wake()
    tick_all(AT + timedelta(seconds=5))
    rollout = Rollout.objects.get()
    assert rollout.state == State.PAUSED
    assert rollout.reasons[0]["code"] == "gate-failed"
    assert str(Message.from_json(rollout.reasons[0])).startswith("2 agents failed")
    assert latest(fleet) == {"one": 6}


def test_a_failed_agent_is_rolled_back_to_the_former_value(fleet):
    variable("two")
    rollout = Rollout.objects.active().get()
    fleet.wake()
    fleet.answer([agent for agent in fleet.agents if "two" in agent.latest], RemoteConfigStatuses.FAILED, error="no")
    rolling_out.roll_back_rollout(rollout.pk, by=None, at=AT)
    fleet.wake()
    assert latest(fleet) == {"one": 6}
