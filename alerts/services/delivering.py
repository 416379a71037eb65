"""Carries deliveries out: each is taken by one process, tried, and tried again with growing pauses until it is given up."""

from __future__ import annotations

import logging
import random
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from accounts import services as accounts
from accounts.models import User
from alerts.channels import attempt
from alerts.errors import CannotDeliver, NotNow
from alerts.models import AlertDelivery
from alerts.notices import Notice
from alerts.services.receiver_edits import receiver_address
from foundation.clock import clock
from foundation.messages import Message
from jobs.kinds import JobKind, Queue, Result, Slice
from jobs.models import Job
from jobs.outcomes import Outcome
from jobs.services.starting import start_job

logger = logging.getLogger(__name__)

JOB_KIND = "alerts.deliver"
SECONDS = 30.0
MOST_ATTEMPTS = 8
# Longer than an attempt can take: whoever has it so long is dead.
_CLAIM = timedelta(minutes=3)
_FIRST_PAUSE, _LONGEST_PAUSE = 30.0, 3_600.0
_JITTER = 0.2
_AT_ONCE = 100
_OVERDUE = timedelta(seconds=60)
_SOON = timedelta(seconds=5)


def start_delivery(delivery: AlertDelivery) -> None:
    """Have a job carry it out, in the caller's transaction; nothing when one does."""
    title = Message(
        "alert-delivery-job",
        "Tell {receiver} of {rule}",
        receiver=str(delivery.receiver),
        rule=str(delivery.notice["rule"]),
    )
    start_job(JOB_KIND, by=None, parameters={"delivery": delivery.pk}, total=1, key=str(delivery.pk), title=title)


def start_lost(at: datetime) -> int:
    """Start jobs for deliveries that should have been tried long ago and that no job has; returns how many.

    What somebody cancelled the job of is given up instead.
    """
    overdue = AlertDelivery.objects.due(at - _OVERDUE).order_by("pk").select_related("receiver")[:_AT_ONCE]
    rows = {str(row.pk): row for row in overdue}
    if not rows:
        return 0
    # The newest job of each comes last.
    jobs = Job.objects.filter(kind=JOB_KIND, key__in=rows).order_by("pk")
    newest = {job.key: job for job in jobs.only("key", "state")}
    started = 0
    for key, row in rows.items():
        job = newest.get(key)
        if job is not None and job.state == Job.State.CANCELLED:
            said = Message("delivery-cancelled", "The job that was to send it was cancelled.")
            row.change(state=AlertDelivery.State.FAILED, finished_at=at, claimed_until=None, problem=said.as_json())
        elif job is None or not job.is_live:
            start_delivery(row)
            started += 1
    return started


def run_slice(job: Job, _cursor: Any, now: datetime) -> Slice:
    """One attempt; a delivery that is not finished is tried again when its time has come."""
    key = int(job.parameters["delivery"])
    carry_out(key, now)
    delivery = AlertDelivery.objects.select_related("receiver").filter(pk=key).first()
    if delivery is None:
        return Slice(results=[Result(str(key), Outcome.SKIPPED)])
    name = str(delivery.receiver)
    match delivery.state:
        case AlertDelivery.State.SENT:
            return Slice(results=[Result(str(key), Outcome.DONE, name=name)])
        case AlertDelivery.State.FAILED:
            problem = Message.from_json(delivery.problem) if delivery.problem else None
            return Slice(results=[Result(str(key), Outcome.FAILED, problem, name)])
    # Whoever has to be told something else first, or is being told by another process, is asked for again soon.
    due = delivery.next_attempt_at or now
    return Slice(cursor=delivery.attempts, again_in=max(due - clock.now(), _SOON))


def carry_out(key: int, at: datetime) -> AlertDelivery | None:
    """One attempt, outside of any transaction; ``None`` when it is not due or somebody else has it."""
    delivery: AlertDelivery | None = AlertDelivery.objects.due(at).filter(pk=key).select_related("receiver").first()
    if delivery is None:
        return None
    if delivery.attempts >= MOST_ATTEMPTS:
        # Whoever tried died of it, or could not book what came of it.
        said = Message(
            "delivery-interrupted",
            "It was tried {attempts} times, and none came to an end.",
            attempts=delivery.attempts,
        )
        delivery.change(state=AlertDelivery.State.FAILED, finished_at=at, claimed_until=None, problem=said.as_json())
        return delivery
    if not delivery.change(
        state=AlertDelivery.State.SENDING, attempts=delivery.attempts + 1, claimed_until=at + _CLAIM
    ):
        return None
    try:
        status = _attempt(delivery, at)
    except CannotDeliver as error:
        _book_failure(delivery, error)
    except Exception as error:
        logger.exception("a notice could not be sent", extra={"delivery": delivery.pk})
        said = Message(
            "delivery-failed", "It could not be sent ({error}); the log says more.", error=type(error).__name__
        )
        _book_failure(delivery, CannotDeliver(said))
    else:
        delivery.change(
            state=AlertDelivery.State.SENT,
            status_code=status,
            problem=None,
            finished_at=clock.now(),
            claimed_until=None,
        )
    return delivery


def _attempt(delivery: AlertDelivery, at: datetime) -> int | None:
    receiver = delivery.receiver
    if not receiver.enabled:
        raise CannotDeliver(Message("receiver-disabled", "The receiver is switched off."), lasting=True)
    return attempt(receiver.kind, receiver_address(receiver, delivery.key, at), Notice.from_json(delivery.notice))


def _book_failure(delivery: AlertDelivery, error: CannotDeliver) -> None:
    now = clock.now()
    values: dict[str, Any] = {
        "status_code": error.status,
        "problem": error.message.as_json(),
        "claimed_until": None,
    }
    if error.lasting or delivery.attempts >= MOST_ATTEMPTS:
        delivery.change(state=AlertDelivery.State.FAILED, finished_at=now, **values)
        return
    pause = max(back_off(delivery.attempts), error.retry_after)
    delivery.change(state=AlertDelivery.State.WAITING, next_attempt_at=now + timedelta(seconds=pause), **values)


def back_off(attempts: int) -> float:
    """Seconds until the next attempt after so many: twice as long each time, and never the same for all."""
    pause = min(_FIRST_PAUSE * 2.0 ** min(max(attempts, 1) - 1, 30), _LONGEST_PAUSE)
    return pause * (1 + random.uniform(-_JITTER, _JITTER))  # noqa: S311  no secret depends on it


@transaction.atomic
def retry(key: int, *, by: User | None, at: datetime) -> AlertDelivery:
    """Try one that was given up once more, from the beginning. Raises `AlertDelivery.DoesNotExist`, `NotNow`."""
    delivery: AlertDelivery = AlertDelivery.objects.select_related("receiver", "alert").get(pk=key)
    if delivery.state == AlertDelivery.State.FAILED and delivery.is_outdated:
        said = Message(
            "delivery-outdated",
            "What it tells is no longer so: the alert is over, or the receiver has had news of it since.",
        )
        raise NotNow(said)
    again = delivery.state == AlertDelivery.State.FAILED and delivery.change(
        state=AlertDelivery.State.WAITING, attempts=0, next_attempt_at=at, finished_at=None
    )
    if not again:
        raise NotNow(Message("delivery-not-given-up", "Only a delivery that was given up can be tried again."))
    start_delivery(delivery)
    accounts.record(by=by, verb="alert_delivery.retry", target=delivery, name=str(delivery.receiver))
    return delivery


KIND = JobKind(JOB_KIND, Message("alert-delivery-kind", "Tell a receiver of an alert"), run_slice, queue=Queue.OUTGOING)
"""The kind of job that carries a delivery out."""
