"""Each entry of the audit trail is told to subscribers when it is committed."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.events import AuditEvent
from accounts.models import AuditEntry, User
from accounts.services import Never, issue_token, one_entry, record, record_all
from foundation.clock import clock
from tests.subscriptions import calls_with

pytestmark = pytest.mark.django_db(transaction=True)


def said(event: AuditEvent) -> dict[str, object]:
    """What the event says that is in the row too."""
    names = ("actor_id", "actor_name", "verb", "object_type", "object_id", "object_name", "data")
    return {"id": event.entry_id, **{name: getattr(event, name) for name in names}}


def test_an_entry_is_told_as_it_stands_in_its_row(alice: User) -> None:
    before = clock.now()
    with calls_with(AuditEvent) as calls:
        with transaction.atomic():
            record(by=alice, verb="agent.edit", target=alice, name="edge-1", data={"notes": "new"})
            record(by=None, verb="login.fail", target=alice, name="alice", actor="mallory")
            assert not calls
        issue_token(alice, name="ci", by=alice, expires_at=Never.EXPIRES)
    assert [len(call) for call in calls] == [2, 1]
    told = [event for call in calls for event in call]
    assert [said(event) for event in told] == list(AuditEntry.objects.order_by("id").values(*said(told[0])))
    assert [(event.actor_id, event.actor_name, event.verb) for event in told] == [
        (alice.pk, "alice", "agent.edit"),
        (None, "mallory", "login.fail"),
        (alice.pk, "alice", "token.issue"),
    ]
    assert all(before <= event.at <= clock.now() for event in told)


def test_of_what_was_rolled_back_nobody_hears(alice: User) -> None:
    with calls_with(AuditEvent) as calls:
        with transaction.atomic():
            record(by=alice, verb="agent.edit", target=alice, name="edge-1")
            transaction.set_rollback(True)
        assert not calls


def test_an_entry_that_grows_is_told_each_time(alice: User, bob: User) -> None:
    with calls_with(AuditEvent) as calls, one_entry():
        for person in (alice, bob):
            with transaction.atomic():
                record_all([(person, person.username, {"set": {"a": "1"}})], by=alice, verb="agent.edit")
    first, second = [event for call in calls for event in call]
    row = AuditEntry.objects.get()
    assert first.entry_id == second.entry_id == row.pk
    assert (first.object_name, first.data) == ("alice", {"set": {"a": "1"}})
    assert (second.object_id, second.object_name, second.data) == ("", row.object_name, row.data)
    assert second.data["count"] == 2


def test_statements_are_the_same_with_subscribers_and_without(alice: User) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as queries:
            record(by=alice, verb="agent.edit", target=alice, name="edge-1")
            record_all([(alice, "a", {}), (alice, "b", {})], by=alice, verb="agent.edit")
        return len(queries)

    without = statements()
    with calls_with(AuditEvent) as calls:
        assert statements() == without
    assert len(calls) == 2
