"""Carries deliveries out: each is taken by one process, tried, and tried again with growing pauses until it is given up."""

from __future__ import annotations

import logging
import random
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from accounts import services as accounts
from accounts.models import User
from agents.shown import message_shown
from alerts.channels import CHANNELS
from alerts.errors import CannotDeliver, NotNow
from alerts.models import Delivery
from alerts.notices import Notice
from alerts.services.receiver_edits import target_of
from foundation.clock import clock
from foundation.messages import Message

logger = logging.getLogger(__name__)

SECONDS = 5.0
MOST_ATTEMPTS = 8
# Longer than an attempt can take: whoever has it so long is dead.
_CLAIM = timedelta(minutes=3)
_FIRST_PAUSE, _LONGEST_PAUSE = 30.0, 3_600.0
_JITTER = 0.2
_AT_ONCE = 100


def due_keys(at: datetime) -> list[int]:
    """Deliveries to try now, the oldest first."""
    return list(Delivery.objects.due(at).order_by("pk").values_list("pk", flat=True)[:_AT_ONCE])


def start_due(at: datetime) -> None:
    """Have every delivery that is due carried out."""
    for key in due_keys(at):
        carry_out(key, at)


def carry_out(key: int, at: datetime) -> Delivery | None:
    """One attempt, outside of any transaction; ``None`` when it is not due or somebody else has it."""
    delivery = Delivery.objects.due(at).filter(pk=key).select_related("receiver").first()
    if delivery is None or not delivery.change(
        state=Delivery.State.SENDING, attempts=delivery.attempts + 1, claimed_until=at + _CLAIM
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
            state=Delivery.State.SENT, status_code=status, problem=None, finished_at=clock.now(), claimed_until=None
        )
    return delivery


def _attempt(delivery: Delivery, at: datetime) -> int | None:
    receiver = delivery.receiver
    if not receiver.enabled:
        raise CannotDeliver(Message("receiver-disabled", "The receiver is switched off."), lasting=True)
    return CHANNELS[receiver.kind](target_of(receiver, delivery.key, at), Notice.from_json(delivery.notice))


def _book_failure(delivery: Delivery, error: CannotDeliver) -> None:
    # What a receiver answers may repeat what it was sent.
    problem = error.message.with_texts(message_shown).as_json()
    now = clock.now()
    values: dict[str, Any] = {"status_code": error.status, "problem": problem, "claimed_until": None}
    if error.lasting or delivery.attempts >= MOST_ATTEMPTS:
        delivery.change(state=Delivery.State.FAILED, finished_at=now, **values)
        return
    pause = max(back_off(delivery.attempts), error.retry_after)
    delivery.change(state=Delivery.State.WAITING, next_attempt_at=now + timedelta(seconds=pause), **values)


def back_off(attempts: int) -> float:
    """Seconds until the next attempt after so many: twice as long each time, and never the same for all."""
    pause = min(_FIRST_PAUSE * 2 ** (max(attempts, 1) - 1), _LONGEST_PAUSE)
    return pause * (1 + random.uniform(-_JITTER, _JITTER))  # noqa: S311  no secret depends on it


@transaction.atomic
def retry(key: int, *, by: User | None, at: datetime) -> Delivery:
    """Try one that was given up once more, from the beginning. Raises `Delivery.DoesNotExist`, `NotNow`."""
    delivery = Delivery.objects.select_related("receiver").get(pk=key)
    again = delivery.state == Delivery.State.FAILED and delivery.change(
        state=Delivery.State.WAITING, attempts=0, next_attempt_at=at, finished_at=None
    )
    if not again:
        raise NotNow(Message("delivery-not-given-up", "Only a delivery that was given up can be tried again."))
    accounts.record(by=by, verb="alert_delivery.retry", target=delivery, name=str(delivery.receiver))
    return delivery
