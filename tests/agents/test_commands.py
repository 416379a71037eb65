"""Commands as operators ask for them: one, many, twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import AuditEntry, User
from agents.models import Agent, AgentCommand, AgentEvent
from agents.services.commands import request_restart, request_restarts

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.rule("S-96", "S-113")
def test_many_restarts_skip_those_that_take_none_and_leave_a_trail(alice: User, report: Callable[..., Agent]) -> None:
    capable = [report(f"web-{number}") for number in range(3)]
    deaf = report("deaf", capabilities=1)
    asked, skipped = request_restarts([*capable, deaf], by=alice, at=timezone.now())
    assert (asked, skipped) == (3, [deaf])
    assert AgentCommand.objects.filter(outcome="pending").count() == 3
    assert AuditEntry.objects.filter(verb="agent.restart", actor=alice).count() == 3
    events = AgentEvent.objects.filter(kind="command", data__by="alice", data__outcome="pending")
    assert set(events.values_list("agent_id", flat=True)) == {agent.pk for agent in capable}


def test_who_waits_for_a_restart_already_is_not_asked_twice(alice: User, report: Callable[..., Agent]) -> None:
    one, two = report("one"), report("two")
    request_restart(one, by=alice, at=timezone.now())
    for _ in range(2):
        assert request_restarts([one, two], by=alice, at=timezone.now()) == (2, [])
    assert AgentCommand.objects.count() == 2


def test_the_number_of_queries_does_not_grow_with_the_fleet(
    alice: User, report: Callable[..., Agent], django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    agents = [report(f"web-{number}") for number in range(40)]
    with django_assert_max_num_queries(12):
        request_restarts(agents, by=alice, at=timezone.now())
