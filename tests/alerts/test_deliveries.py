"""Deliveries as jobs: tried again with growing pauses, given up, retried, carried out once, found again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from accounts.models import AuditEntry
from agents.models import Agent
from alerts.channels import CHANNELS
from alerts.errors import NotNow
from alerts.models import AlertDelivery
from alerts.services.delivering import MOST_ATTEMPTS, back_off, carry_out, retry, start_lost
from alerts.services.evaluating import evaluate_all
from foundation.clock import clock
from jobs.models import Job
from jobs.services.starting import cancel_job
from tests.alerts.conftest import NOW, Listener, later, status
from tests.jobs.working import one_connection, work

__all__ = ["one_connection"]
pytestmark = pytest.mark.django_db
Make = Callable[..., Any]


@pytest.fixture
def delivery(fleet: Make, rule: Make, receiver: Make, listener: Listener) -> AlertDelivery:
    """One that waits, for the listener."""
    receiver(address=listener.url, secret="hmac-key-1")
    fleet(1, connected=False, disconnected_at=NOW)
    rule(parameters={"minutes": 0})
    evaluate_all(NOW)
    return AlertDelivery.objects.get()


def test_pauses_grow_and_differ() -> None:
    for attempts, seconds in ((1, 30), (2, 60), (3, 120), (7, 1_920), (8, 3_600), (40, 3_600)):
        found = {back_off(attempts) for _ in range(20)}
        assert len(found) > 1
        assert all(seconds * 0.8 <= pause <= seconds * 1.2 for pause in found)


def test_a_job_carries_it_out(delivery: AlertDelivery, listener: Listener, one_connection: None) -> None:
    job = Job.objects.get(kind="alerts.deliver")
    assert (job.key, job.of_portal) == (str(delivery.pk), True)
    AlertDelivery.objects.update(next_attempt_at=clock.now())
    work()
    delivery.refresh_from_db()
    job.refresh_from_db()
    assert (delivery.state, job.state, job.done) == ("sent", "done", 1)
    assert len(listener.received) == 1


def test_it_is_tried_again_and_given_up(delivery: AlertDelivery, listener: Listener, one_connection: None) -> None:
    listener.answer = lambda handler: status(handler, 503, b"token=hmac-key-1-hmac-key-1 later")
    for attempt in range(1, MOST_ATTEMPTS + 1):
        AlertDelivery.objects.filter(state="waiting").update(next_attempt_at=clock.now())
        work(1)
        delivery.refresh_from_db()
        assert delivery.attempts == attempt
        assert delivery.status_code == 503
        if attempt < MOST_ATTEMPTS:
            assert delivery.state == "waiting"
            pause = (delivery.next_attempt_at - clock.now()).total_seconds()
            assert pause > 0.79 * min(30 * 2 ** (attempt - 1), 3_600) - 5
    assert delivery.state == "failed"
    assert len({headers["Idempotency-Key"] for _path, headers, _body in listener.received}) == 1
    assert "hmac-key-1" not in str(delivery.problem)
    job = Job.objects.get(kind="alerts.deliver")
    assert (job.state, job.failed) == ("done", 1)


def test_retry_after_is_heeded(delivery: AlertDelivery, listener: Listener) -> None:
    listener.answer = lambda handler: status(handler, 429, Retry_After="600")
    carry_out(delivery.pk, later(1))
    delivery.refresh_from_db()
    assert (delivery.next_attempt_at - clock.now()).total_seconds() > 590


def test_what_is_no_use_is_not_tried_again(delivery: AlertDelivery, listener: Listener) -> None:
    listener.answer = lambda handler: status(handler, 410)
    carry_out(delivery.pk, later(1))
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("failed", 1)


def test_a_person_has_it_sent_again(
    delivery: AlertDelivery, listener: Listener, alice: Any, one_connection: None
) -> None:
    listener.answer = lambda handler: status(handler, 404)
    AlertDelivery.objects.update(next_attempt_at=clock.now())
    work()
    AlertDelivery.objects.filter(pk=delivery.pk).update(state="sent")
    with pytest.raises(NotNow):
        retry(delivery.pk, by=alice, at=clock.now())
    AlertDelivery.objects.filter(pk=delivery.pk).update(state="failed")
    listener.answer = lambda handler: status(handler, 204)
    retry(delivery.pk, by=alice, at=clock.now())
    work()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.status_code, delivery.problem) == ("sent", 204, None)
    assert AuditEntry.objects.filter(verb="alert_delivery.retry", actor=alice).count() == 1


class TestOutdated:
    """A receiver that is told once more of what is over would wait for an end that nobody tells."""

    def test_the_beginning_of_what_is_over(self, delivery: AlertDelivery, listener: Listener, alice: Any) -> None:
        listener.answer = lambda handler: status(handler, 404)
        carry_out(delivery.pk, later(1))
        Agent.objects.update(connected=True)
        evaluate_all(later(15))
        assert not AlertDelivery.objects.filter(event="resolved").exists()
        with pytest.raises(NotNow) as refused:
            retry(delivery.pk, by=alice, at=later(20))
        assert refused.value.message.code == "delivery-outdated"
        delivery.refresh_from_db()
        assert delivery.state == "failed"

    def test_what_the_receiver_has_had_news_of(self, delivery: AlertDelivery, listener: Listener, alice: Any) -> None:
        """The end of the former alert of the same rule, when the next one has begun."""
        carry_out(delivery.pk, later(1))
        Agent.objects.update(connected=True)
        evaluate_all(later(15))
        end = AlertDelivery.objects.get(event="resolved")
        listener.answer = lambda handler: status(handler, 404)
        carry_out(end.pk, later(20))
        Agent.objects.update(connected=False)
        evaluate_all(later(30))
        with pytest.raises(NotNow):
            retry(end.pk, by=alice, at=later(40))
        AlertDelivery.objects.filter(pk__gt=end.pk).update(state="failed")
        assert retry(end.pk, by=alice, at=later(40)).state == "waiting"

    def test_the_next_alert_of_a_group_is_told_after_the_end_of_the_former(
        self, delivery: AlertDelivery, listener: Listener
    ) -> None:
        """Alertmanager takes both for one, and would end the one that fires."""
        carry_out(delivery.pk, later(1))
        Agent.objects.update(connected=True)
        evaluate_all(later(15))
        end = AlertDelivery.objects.get(event="resolved")
        Agent.objects.update(connected=False)
        evaluate_all(later(30))
        begin = AlertDelivery.objects.latest("pk")
        assert (begin.event, begin.alert_id == end.alert_id) == ("firing", False)
        assert carry_out(begin.pk, later(31)) is None
        assert carry_out(end.pk, later(31)) is not None
        assert carry_out(begin.pk, later(31)) is not None


@pytest.mark.parametrize("values", [{"state": "waiting"}, {"state": "sending", "claimed_until": later(90_000)}])
def test_what_waits_by_a_clock_that_was_put_back(
    delivery: AlertDelivery, listener: Listener, values: dict[str, Any]
) -> None:
    AlertDelivery.objects.update(next_attempt_at=later(90_000), **values)
    assert carry_out(delivery.pk, later(85_000)) is None
    assert carry_out(delivery.pk, later(1)) is not None
    assert len(listener.received) == 1


def test_two_processes_send_it_once(
    delivery: AlertDelivery, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = AlertDelivery.change

    def meanwhile(row: AlertDelivery, **values: Any) -> bool:
        monkeypatch.setattr(AlertDelivery, "change", change)
        assert carry_out(delivery.pk, later(1)) is not None
        return change(row, **values)

    monkeypatch.setattr(AlertDelivery, "change", meanwhile)
    assert carry_out(delivery.pk, later(1)) is None
    assert len(listener.received) == 1


def test_a_process_that_died_while_it_sent(delivery: AlertDelivery, listener: Listener) -> None:
    delivery.change(state="sending", attempts=1, claimed_until=later(180))
    assert carry_out(delivery.pk, later(179)) is None
    assert carry_out(delivery.pk, later(180)) is not None
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("sent", 2)


def test_whoever_wakes_up_late_books_nothing(delivery: AlertDelivery) -> None:
    mine = AlertDelivery.objects.get()
    mine.change(state="sending", attempts=1, claimed_until=later(180))
    other = AlertDelivery.objects.get()
    other.change(state="sending", attempts=2, claimed_until=later(400))
    assert not mine.change(state="sent")
    assert other.change(state="sent")


def test_deliveries_that_no_job_has(delivery: AlertDelivery) -> None:
    assert start_lost(later(90)) == 0
    Job.objects.all().delete()
    assert start_lost(later(30)) == 0
    assert start_lost(later(90)) == 1
    assert start_lost(later(90)) == 0
    assert Job.objects.get().key == str(delivery.pk)


def test_a_job_that_somebody_cancelled(
    delivery: AlertDelivery, listener: Listener, alice: Any, one_connection: None
) -> None:
    """Nothing sends it behind their back; it can be sent once more."""
    cancel_job(Job.objects.get().pk, by=alice)
    assert start_lost(later(90)) == 0
    delivery.refresh_from_db()
    assert (delivery.state, delivery.problem["code"]) == ("failed", "delivery-cancelled")
    retry(delivery.pk, by=alice, at=NOW)
    Job.objects.live().update(state="failed")
    assert start_lost(later(90)) == 1
    AlertDelivery.objects.update(next_attempt_at=clock.now())
    work()
    assert len(listener.received) == 1


def test_nobody_hears_of_the_end_before_the_beginning(delivery: AlertDelivery, listener: Listener) -> None:
    listener.answer = lambda handler: status(handler, 503)
    carry_out(delivery.pk, later(1))
    Agent.objects.update(connected=True)
    evaluate_all(later(15))
    end = AlertDelivery.objects.get(event="resolved")
    listener.answer = lambda handler: status(handler, 200)
    assert carry_out(end.pk, later(20)) is None
    AlertDelivery.objects.filter(pk=delivery.pk).update(next_attempt_at=later(20))
    assert carry_out(delivery.pk, later(20)) is not None
    assert carry_out(end.pk, later(20)) is not None
    assert len(listener.received) == 3


def test_a_receiver_that_is_off(delivery: AlertDelivery) -> None:
    delivery.receiver.enabled = False
    delivery.receiver.save()
    carry_out(delivery.pk, later(1))
    delivery.refresh_from_db()
    assert delivery.problem["code"] == "receiver-disabled"


def test_a_mistake_of_ours_is_tried_again(delivery: AlertDelivery, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setitem(CHANNELS, "webhook", fail)
    carry_out(delivery.pk, later(1))
    delivery.refresh_from_db()
    assert (delivery.state, delivery.problem["code"]) == ("waiting", "delivery-failed")
    assert timedelta() < delivery.next_attempt_at - clock.now()
