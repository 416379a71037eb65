"""Freezes and pauses from the agents' side: who is held gets nothing, the others do, and nothing is lost at the end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from accounts.models import AuditEntry
from agents.models import Agent, AgentEvent
from agents.selectors import parse_label_query
from configurations import opamp as offering
from configurations.services.publishing import AT_ONCE, ReleasePlan, create_configuration, update_configuration
from configurations.services.retrying import retry_offer
from foundation import wakeups
from foundation.messages import Message
from rollouts.audiences import EVERYONE, Matching
from rollouts.errors import FreezeRefused, NotFrozen
from rollouts.events import FreezeEvent
from rollouts.models import Freeze, Rollout
from rollouts.policies import parse_policy
from rollouts.reasons import InvalidExpiry, InvalidReason
from rollouts.services import freezing, ticking
from rollouts.subjects import MemberState, subject_of
from tests.rollouts.fleet import Fleet
from tests.rollouts.test_rolling_out import AT, NEW, OLD, draft
from tests.subscriptions import calls_with

pytestmark = pytest.mark.django_db(transaction=True)
NEWEST = "receivers: {newest: }\n"
EUROPE = Matching(parse_label_query("region=eu"))


@pytest.fixture
def fleet() -> Fleet:
    """Two agents in Europe and two elsewhere that have applied revision 1."""
    create_configuration("c", draft(OLD), by=None, at=AT, force=True)
    fleet = Fleet(AT)
    fleet.join(2, env="prod", region="eu")
    fleet.join(2, env="prod", region="us")
    fleet.answer(fleet.agents)
    return fleet


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Whom wake-ups named."""
    found: list[Any] = []
    monkeypatch.setattr(wakeups, "wake", found.extend)
    return found


def publish(text: str) -> None:
    update_configuration("c", draft(text), by=None, at=AT, force=True, plan=AT_ONCE)


def row(remembering: Any) -> Agent:
    return Agent.objects.get(instance_uid=remembering.uid)


def freeze(audience: Any = EVERYONE, **more: Any) -> Freeze:
    return freezing.start_freeze(audience, reason="release party", by=None, at=AT, **more)


def test_a_freeze_of_the_fleet_holds_everything_until_it_ends(fleet):
    frozen = freeze()
    publish(NEW)
    fleet.wake()
    fleet.answer(fleet.agents)
    late = fleet.join(1, env="prod")[0]
    assert fleet.offered(NEW) == set()
    assert late.offers == []
    assert {each.assignment.status for each in Agent.objects.select_related("assignment")} == {"pending"}
    freezing.end_freeze(frozen.pk, by=None, at=AT)
    fleet.wake()
    assert fleet.offered(NEW) == {agent.uid for agent in fleet.agents}


def test_a_freeze_of_a_selector_holds_its_agents_alone(fleet):
    freeze(EUROPE)
    publish(NEW)
    fleet.wake()
    assert fleet.offered(NEW) == {agent.uid for agent in fleet.agents[2:]}
    fleet.relabel(fleet.agents[0], region="us")
    assert fleet.agents[0].latest == NEW


def test_a_paused_agent_keeps_what_it_runs(fleet, alice):
    paused = fleet.agents[0]
    freezing.pause_agent(row(paused), reason="being debugged", by=alice, at=AT)
    publish(NEW)
    fleet.wake()
    assert fleet.offered(NEW) == {agent.uid for agent in fleet.agents[1:]}
    retry_offer(row(paused).pk, by=alice, at=AT)
    fleet.wake([paused])
    assert paused.latest == OLD
    with pytest.raises(FreezeRefused, match="paused already, by alice"):
        freezing.pause_agent(row(paused), reason="again", by=None, at=AT)
    freezing.resume_agent(row(paused), by=alice, at=AT)
    fleet.wake([paused])
    assert paused.latest == NEW
    with pytest.raises(NotFrozen):
        freezing.resume_agent(row(paused), by=alice, at=AT)
    kinds = [line.kind for line in AgentEvent.objects.filter(agent=row(paused), kind__in=("paused", "resumed"))]
    assert kinds == ["resumed", "paused"]
    assert [entry.verb for entry in AuditEntry.objects.filter(verb__startswith="agent.")] == [
        "agent.resume",
        "agent.pause",
    ]


def test_a_pause_follows_the_agent_to_another_uid(fleet):
    paused = row(fleet.agents[0])
    freezing.pause_agent(paused, reason="being debugged", by=None, at=AT)
    Agent.objects.filter(pk=paused.pk).update(instance_uid="01890000-0000-7000-8000-000000000001")
    paused.refresh_from_db()
    assert freezing.holding(paused, AT) is not None


def test_an_expired_freeze_holds_nobody_and_its_end_wakes_who_waited(fleet, woken):
    freeze(EUROPE, expires_at=AT + timedelta(minutes=5))
    freezing.pause_agent(row(fleet.agents[2]), reason="r", by=None, at=AT, expires_at=AT + timedelta(minutes=5))
    publish(NEW)
    woken.clear()
    assert freezing.end_expired(AT + timedelta(minutes=4)) == 0
    assert woken == []
    after = AT + timedelta(minutes=5)
    # By the clock, before anybody ended it.
    fleet.at = after
    fleet.wake([fleet.agents[0]])
    assert fleet.agents[0].latest == NEW
    assert freezing.end_expired(after) == 2
    assert freezing.end_expired(after) == 0
    # The one that had it by now is left alone, and so are those that nothing held.
    assert sorted(woken) == sorted([fleet.agents[1].uid, fleet.agents[2].uid])
    assert set(Freeze.objects.values_list("ended_by_name", "ended_at")) == {("system", after)}


def test_who_waited_is_found_again_when_the_wakeup_was_lost(fleet, woken):
    frozen = freeze(EUROPE)
    publish(NEW)
    much_later = AT + timedelta(days=3)
    assert freezing.released_since(AT - timedelta(minutes=1)) == set()
    freezing.end_freeze(frozen.pk, by=None, at=much_later)
    europe = {agent.uid for agent in fleet.agents[:2]}
    assert freezing.released_since(much_later - timedelta(minutes=1)) == europe
    fleet.leave(fleet.agents[1])
    assert freezing.released_since(much_later - timedelta(minutes=1)) == {fleet.agents[0].uid}
    assert freezing.released_since(much_later + timedelta(minutes=1)) == set()


def test_the_same_agents_are_frozen_once(fleet, alice):
    first = freezing.start_freeze(EUROPE, reason="incident 7", by=alice, at=AT)
    with pytest.raises(FreezeRefused, match=f"Freeze {first.pk} .* alice said: incident 7"):
        freezing.start_freeze(Matching(parse_label_query(" region in (eu)")), reason="again", by=None, at=AT)
    freeze()
    with pytest.raises(FreezeRefused):
        freeze()
    assert [each.audience for each in freezing.active()] == [EVERYONE, EUROPE]
    assert freezing.end_all(by=alice, at=AT) == 2
    with pytest.raises(NotFrozen):
        freezing.end_freeze(first.pk, by=alice, at=AT)
    assert freezing.active() == ()


def test_there_are_two_hundred_at_most(monkeypatch):
    monkeypatch.setattr(freezing, "MOST_ACTIVE", 2)
    for number in range(2):
        freeze(Matching(parse_label_query(f"rack={number}")))
    with pytest.raises(FreezeRefused, match="2 freezes"):
        freeze(Matching(parse_label_query("rack=3")))


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 501])
def test_a_reason_is_a_line(reason):
    with pytest.raises(InvalidReason):
        freezing.start_freeze(EVERYONE, reason=reason, by=None, at=AT)
    assert not Freeze.objects.exists()


@pytest.mark.parametrize("ahead", [timedelta(), timedelta(days=-1), timedelta(days=400)])
def test_an_end_lies_ahead(ahead):
    with pytest.raises(InvalidExpiry):
        freeze(expires_at=AT + ahead)


def test_everybody_hears_of_it(fleet, alice):
    with calls_with(FreezeEvent) as calls:
        frozen = freezing.start_freeze(EUROPE, reason="incident 7", by=alice, at=AT)
        freezing.end_freeze(frozen.pk, by=None, at=AT)
    assert [(event.freeze_id, event.ended, event.by) for call in calls for event in call] == [
        (frozen.pk, False, "alice"),
        (frozen.pk, True, "system"),
    ]
    assert list(AuditEntry.objects.filter(verb__startswith="freeze.").values_list("verb", "object_name")) == [
        ("freeze.end", "region=eu"),
        ("freeze.start", "region=eu"),
    ]


def test_a_batch_that_has_nothing_to_offer_does_not_ask_for_freezes(fleet, monkeypatch):
    asked: list[None] = []

    def counted() -> freezing.Freezes:
        asked.append(None)
        return freezing.current_freezes()

    monkeypatch.setattr(offering, "current_freezes", counted)
    fleet.answer(fleet.agents)
    assert asked == []
    publish(NEWEST)
    fleet.wake()
    assert asked == [None]
    assert fleet.offered(NEWEST) == {agent.uid for agent in fleet.agents}


def test_a_rollout_stands_still_in_a_freeze_and_its_gate_gets_its_time_anew(fleet):
    policy = parse_policy({"stages": [{"count": 1}], "gate": {"timeout_seconds": 60}})
    update_configuration("c", draft(NEW), by=None, at=AT, force=True, plan=ReleasePlan(policy))
    frozen = freeze(EUROPE, expires_at=AT + timedelta(minutes=10))
    much_later = AT + timedelta(minutes=10)
    for at in (AT, much_later):
        ticking.tick_all(at)
        rollout = Rollout.objects.get()
        assert (rollout.state, rollout.stage) == ("running", 0)
        assert "release party" in str(Message.from_json(rollout.reasons[0]))
    assert freezing.end_expired(much_later) == 1
    ticking.tick_all(much_later + timedelta(seconds=59))
    assert Rollout.objects.get().state == "running"
    assert not Freeze.objects.get(pk=frozen.pk).is_active
    ticking.tick_all(much_later + timedelta(seconds=61))
    assert Rollout.objects.get().state == "paused"


def test_a_paused_agent_does_not_hold_a_rollout_up(fleet):
    policy = parse_policy({"stages": [{"count": 4}]})
    held = fleet.agents[0]
    freezing.pause_agent(row(held), reason="r", by=None, at=AT)
    update_configuration("c", draft(NEW), by=None, at=AT, force=True, plan=ReleasePlan(policy))
    fleet.wake()
    fleet.answer(fleet.agents[1:])
    rollout = Rollout.objects.get()
    members = {member.instance_uid: member.state for member in subject_of(rollout).members(rollout, AT)}
    assert members[held.uid] is MemberState.HELD
    assert subject_of(rollout).counts(rollout, AT).held == 1
    ticking.tick_all(AT)
    ticking.tick_all(AT + timedelta(hours=1))
    assert Rollout.objects.get().state == "completed"
