"""Commands as operators ask for them: one, many, twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEntry, User
from agents.models import Agent, AgentCommand, AgentEvent, ReportedState
from agents.services.commands import (
    MAX_MESSAGE_BYTES,
    OBSERVATION_TIME,
    CannotBeSent,
    expire_commands,
    request_restart,
    request_restarts,
    send_custom_message,
    take,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.rule("S-96", "S-113")
def test_many_restarts_skip_those_that_take_none_and_leave_a_trail(alice: User, report: Callable[..., Agent]) -> None:
    capable = [report(f"web-{number}") for number in range(3)]
    deaf = report("deaf", capabilities=1)
    outcome = request_restarts([agent.pk for agent in (*capable, deaf)], by=alice, at=timezone.now())
    assert (outcome.asked, outcome.skipped) == (3, 1)
    assert AgentCommand.objects.filter(outcome="pending").count() == 3
    assert AuditEntry.objects.get(verb="agent.restart", actor=alice).data["count"] == 3
    events = AgentEvent.objects.filter(kind="command", data__by="alice", data__outcome="pending")
    assert set(events.values_list("agent_id", flat=True)) == {agent.pk for agent in capable}


def test_who_waits_for_a_restart_already_is_not_asked_twice(alice: User, report: Callable[..., Agent]) -> None:
    one, two = report("one"), report("two")
    request_restart(one, by=alice, at=timezone.now())
    for _ in range(2):
        assert request_restarts([one.pk, two.pk], by=alice, at=timezone.now()).asked == 2
    assert AgentCommand.objects.count() == 2


@pytest.mark.rule("S-97")
def test_a_restart_without_effect_expires_once_and_the_timeline_says_so(
    alice: User, report: Callable[..., Agent]
) -> None:
    agent = report()
    command = request_restart(agent, by=alice, at=timezone.now())
    assert take(command, at=timezone.now())
    assert not take(command, at=timezone.now())
    later = timezone.now() + 2 * OBSERVATION_TIME
    assert [expire_commands(at=later) for _ in range(2)] == [1, 0]
    told = AgentEvent.objects.filter(kind="command").order_by("id").values_list("data__outcome", flat=True)
    assert list(told) == ["pending", "sent", "expired"]


def test_a_restart_sent_before_the_clock_was_put_back_gets_its_time_from_now(
    alice: User, report: Callable[..., Agent]
) -> None:
    now = timezone.now()
    command = request_restart(report(), by=alice, at=now)
    assert take(command, at=now + timedelta(days=3))
    assert expire_commands(at=now) == 0
    assert expire_commands(at=now + OBSERVATION_TIME - timedelta(seconds=1)) == 0
    assert expire_commands(at=now + OBSERVATION_TIME + timedelta(seconds=1)) == 1


@pytest.mark.rule("S-113")
def test_a_restart_needs_a_right(
    alice: User, bob: User, report: Callable[..., Agent], api_of: Callable[..., Any]
) -> None:
    path = f"/api/v1/agents/{report().instance_uid}/restart"
    assert (api_of(None).post(path).status_code, api_of(bob).post(path).status_code) == (401, 403)
    assert not AgentCommand.objects.exists()
    assert api_of(alice).post(path).status_code == 202
    assert AuditEntry.objects.get(verb="agent.restart").actor == alice


@pytest.mark.rule("S-94")
def test_a_custom_message_of_a_mebibyte_goes_and_a_byte_more_does_not(
    alice: User, report: Callable[..., Agent]
) -> None:
    agent = report("one")
    ReportedState.objects.filter(agent=agent).update(custom_capabilities=["org.example"])
    agent.refresh_from_db()

    def send(size: int) -> AgentCommand:
        return send_custom_message(
            agent, capability="org.example", message_type="t", data=b"x" * size, by=alice, at=timezone.now()
        )

    assert MAX_MESSAGE_BYTES == 1 << 20
    with pytest.raises(CannotBeSent, match="1048577 bytes; at most 1048576"):
        send(MAX_MESSAGE_BYTES + 1)
    assert not AgentCommand.objects.exists()
    sent = send(MAX_MESSAGE_BYTES)
    said = AgentEvent.objects.get(kind="command").data
    assert said == {
        "command": "custom_message", "id": sent.pk, "outcome": "pending", "capability": "org.example", "type": "t",
        "by": "alice",
    }  # fmt: skip
    request_restart(agent, by=alice, at=timezone.now())
    restart = AgentEvent.objects.filter(kind="command").latest("id").data
    assert "capability" not in restart
    assert restart["command"] == "restart"
