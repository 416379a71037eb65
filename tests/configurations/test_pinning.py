"""Pins from the agents' side: the pinned agent runs what was chosen for it, the others do not, and unpinning brings all back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from accounts.models import AuditEntry
from agents.models import Agent, AgentEvent
from agents.reports import RemoteConfigStatuses
from configurations.models import Assignment, Configuration, Pin
from configurations.services import pinning
from configurations.services.edit_errors import PinRefused, StillPinned, UnknownConfiguration, UnknownRevision
from configurations.services.publishing import (
    AT_ONCE,
    ReleasePlan,
    create_configuration,
    delete_configuration,
    update_configuration,
)
from configurations.services.retrying import retry_offer
from configurations.services.targeting import placements_for, rematch_agents
from foundation import wakeups
from rollouts.policies import parse_policy
from rollouts.services import freezing
from tests.rollouts.fleet import Fleet, RememberingAgent
from tests.rollouts.test_rolling_out import AT, NEW, OLD, draft

pytestmark = pytest.mark.django_db(transaction=True)
SPECIAL, NEXT = "receivers: {special: }\n", "receivers: {next: }\n"


@pytest.fixture
def fleet() -> Fleet:
    """Three agents that have applied revision 2 of c; a configuration for others, s, has revisions 1 and 2."""
    create_configuration("c", draft(OLD), by=None, at=AT, force=True)
    publish("c", NEW)
    create_configuration("s", draft("receivers: {s1: }\n", selector={"env": "lab"}), by=None, at=AT, force=True)
    publish("s", SPECIAL, selector={"env": "lab"})
    fleet = Fleet(AT)
    fleet.join(3, env="prod")
    fleet.answer(fleet.agents)
    return fleet


def publish(name: str, text: str, **fields: Any) -> None:
    update_configuration(name, draft(text, **fields), by=None, at=AT, force=True, plan=AT_ONCE)


def row(remembering: RememberingAgent) -> Agent:
    return Agent.objects.select_related("assignment").get(instance_uid=remembering.uid)


def pin(remembering: RememberingAgent, configuration: str, revision: int | None = None, **more: Any) -> Pin:
    return pinning.pin_agent(
        row(remembering).pk,
        configuration=configuration,
        revision=revision,
        **{"reason": "ticket 7", "by": None, "at": AT, **more},
    )


def test_a_pinned_agent_gets_the_pinned_revision_and_nobody_else_does(fleet):
    pinned = fleet.agents[0]
    pin(pinned, "c", 1)
    fleet.wake()
    assert pinned.latest == OLD
    assert [agent.latest for agent in fleet.agents[1:]] == [NEW, NEW]
    fleet.answer(fleet.agents)
    agent = row(pinned)
    assert (agent.configuration_name, agent.configuration_revision, agent.in_sync) == ("c", 1, True)
    assert agent.assignment.reason == Assignment.Reason.PINNED
    pinning.unpin_agent(agent, by=None, at=AT)
    fleet.wake()
    assert pinned.latest == NEW
    assert row(pinned).assignment.reason == Assignment.Reason.SELECTOR
    assert [len(agent.offers) for agent in fleet.agents] == [3, 1, 1]


def test_a_pin_to_a_revision_stays_when_the_configuration_is_edited(fleet):
    pin(fleet.agents[0], "c", 1)
    # New files for the same agents, and then other targeting.
    publish("c", NEXT)
    fleet.wake()
    assert [agent.latest for agent in fleet.agents] == [OLD, NEXT, NEXT]
    publish("c", SPECIAL, priority=7)
    fleet.wake()
    assert [agent.latest for agent in fleet.agents] == [OLD, SPECIAL, SPECIAL]


def test_a_pin_to_a_configuration_follows_it_whatever_its_selector_says(fleet):
    pin(fleet.agents[0], "s")
    fleet.wake()
    assert [agent.latest for agent in fleet.agents] == [SPECIAL, NEW, NEW]
    publish("s", NEXT, selector={"env": "lab"})
    fleet.wake()
    assert fleet.agents[0].latest == NEXT
    publish("s", OLD, selector={"env": "elsewhere"})
    fleet.wake()
    assert [agent.latest for agent in fleet.agents] == [OLD, NEW, NEW]
    fleet.answer(fleet.agents)
    # Disabled, it is nothing that can be followed; enabled again, it is.
    publish("s", OLD, selector={"env": "elsewhere"}, enabled=False)
    fleet.wake()
    assert fleet.agents[0].latest == NEW
    fleet.answer(fleet.agents)
    publish("s", OLD, selector={"env": "elsewhere"})
    fleet.wake()
    assert fleet.agents[0].latest == OLD
    assert fleet.offered(SPECIAL) == {fleet.agents[0].uid}


def test_a_pin_survives_other_labels_a_new_connection_and_matching_anew(fleet):
    pinned = fleet.agents[0]
    pin(pinned, "s", 2)
    fleet.wake()
    fleet.answer([pinned])
    fleet.relabel(pinned, env="lab")
    fleet.relabel(pinned, env="prod")
    fleet.leave(pinned)
    fleet.relabel(pinned)
    with transaction.atomic():
        rematch_agents([row(pinned).pk], AT)
    fleet.wake()
    assert pinned.offers == [NEW, SPECIAL]
    assert row(pinned).assignment.reason == Assignment.Reason.PINNED
    found = placements_for([(pinned.uid, {"env": "prod"}), (fleet.agents[1].uid, {"env": "lab"})])
    assert [each.configuration for each in found] == ["s", "s"]


def test_a_pin_follows_the_agent_to_another_uid(fleet):
    pinned = fleet.agents[0]
    pin(pinned, "s", 2)
    key = row(pinned).pk
    Agent.objects.filter(pk=key).update(instance_uid="01890000-0000-7000-8000-000000000001")
    with transaction.atomic():
        rematch_agents([key], AT)
    assert Agent.objects.get(pk=key).configuration_name == "s"


def test_a_pinned_agent_waits_for_its_stage_like_others(fleet):
    create_configuration(
        "staged",
        draft(SPECIAL, selector={"env": "lab"}),
        by=None,
        at=AT,
        force=True,
        plan=ReleasePlan(parse_policy({"stages": [{"selector": {"env": "lab"}}]})),
    )
    pin(fleet.agents[0], "staged")
    fleet.wake()
    assert fleet.agents[0].latest == NEW
    publish("staged", SPECIAL, selector={"env": "lab"}, priority=1)
    fleet.wake()
    assert fleet.agents[0].latest == SPECIAL


def test_a_pin_ends_by_itself(fleet, monkeypatch):
    pin(fleet.agents[0], "s", expires_at=AT + timedelta(hours=1))
    fleet.wake()
    fleet.answer(fleet.agents)
    woken: list[Any] = []
    monkeypatch.setattr(wakeups, "wake", woken.extend)
    assert pinning.end_expired_pins(AT + timedelta(minutes=59)) == 0
    assert pinning.end_expired_pins(AT + timedelta(hours=1)) == 1
    assert woken == [fleet.agents[0].uid]
    fleet.wake()
    assert fleet.agents[0].latest == NEW
    assert not Pin.objects.exists()


def test_what_is_pinned_cannot_be_deleted(fleet):
    pin(fleet.agents[0], "s", 1)
    with pytest.raises(StillPinned, match="agent-000"):
        delete_configuration("s", by=None, at=AT)
    assert Configuration.objects.filter(name="s").exists()
    pinning.unpin_agent(row(fleet.agents[0]), by=None, at=AT)
    delete_configuration("s", by=None, at=AT)


def test_of_many_pinned_agents_five_are_named(fleet):
    fleet.join(6 - len(fleet.agents), env="prod")
    for number, agent in enumerate(fleet.agents, 1):
        pin(agent, "s")
        with pytest.raises(StillPinned) as refused:
            delete_configuration("s", by=None, at=AT)
        assert str(refused.value).count("agent-") == min(number, 5)
        assert ("…" in str(refused.value)) == (number > 5)


def test_what_no_agent_can_be_pinned_to(fleet):
    publish("s", SPECIAL, selector={"env": "lab"}, enabled=False)
    with pytest.raises(PinRefused, match="disabled"):
        pin(fleet.agents[0], "s")
    with pytest.raises(UnknownConfiguration):
        pin(fleet.agents[0], "nothing")
    with pytest.raises(UnknownRevision):
        pin(fleet.agents[0], "c", 9)
    approved = parse_policy({"stages": [{"percent": 100}], "approval": True})
    update_configuration("c", draft(NEXT), by=None, at=AT, force=True, plan=ReleasePlan(approved))
    with pytest.raises(PinRefused, match="not released"):
        pin(fleet.agents[0], "c", 3)
    with pytest.raises(PinRefused, match="not pinned"):
        pinning.unpin_agent(row(fleet.agents[0]), by=None, at=AT)
    assert not Pin.objects.exists()


def test_pins_are_told(fleet, alice):
    pin(fleet.agents[0], "c", by=alice)
    assert fleet.agents[0].latest == NEW
    assert row(fleet.agents[0]).assignment.reason == Assignment.Reason.PINNED
    pin(fleet.agents[0], "c", 1, by=alice)
    outcome = pinning.unpin_agents([row(agent).pk for agent in fleet.agents], by=alice, at=AT)
    assert (outcome.asked, outcome.skipped) == (1, 2)
    lines = AgentEvent.objects.filter(kind__in=("pinned", "unpinned")).order_by("pk")
    assert [(line.kind, line.data.get("revision"), line.data["by"]) for line in lines] == [
        ("pinned", None, "alice"),
        ("pinned", 1, "alice"),
        ("unpinned", None, "alice"),
    ]
    verbs = AuditEntry.objects.filter(verb__startswith="agent.").order_by("pk")
    assert list(verbs.values_list("verb", flat=True)) == ["agent.pin", "agent.pin", "agent.unpin"]


def test_what_failed_is_not_offered_again_because_a_pin_or_a_pause_ends(fleet):
    pinned = fleet.agents[0]
    pin(pinned, "s", 2)
    fleet.wake()
    fleet.answer([pinned], RemoteConfigStatuses.FAILED, error="no such receiver")
    freezing.pause_agent(row(pinned), reason="r", by=None, at=AT)
    freezing.resume_agent(row(pinned), by=None, at=AT)
    fleet.wake()
    pinning.unpin_agent(row(pinned), by=None, at=AT)
    fleet.wake()
    fleet.answer([pinned])
    assert pinned.offers == [NEW, SPECIAL, NEW]
    pin(pinned, "s", 2)
    fleet.leave(pinned)
    fleet.relabel(pinned)
    fleet.wake()
    assert pinned.offers == [NEW, SPECIAL, NEW]
    assignment = row(pinned).assignment
    assert (assignment.status, assignment.error_message) == ("failed", "no such receiver")
    # A person's retry is an order, which a pause holds back and does not lose.
    freezing.pause_agent(row(pinned), reason="r", by=None, at=AT)
    retry_offer(row(pinned).pk, by=None, at=AT)
    fleet.wake()
    assert pinned.latest == NEW
    freezing.resume_agent(row(pinned), by=None, at=AT)
    fleet.wake()
    assert pinned.offers == [NEW, SPECIAL, NEW, SPECIAL]
