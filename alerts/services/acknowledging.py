"""Somebody takes an alert upon themselves: it is shown, and told no more until it is resolved."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts import services as accounts
from accounts.models import User
from alerts.errors import InvalidAlerting, NotNow
from alerts.models import Alert
from alerts.services.notifying import announce
from foundation.messages import Message

LONGEST_NOTE = 500


@transaction.atomic
def acknowledge(key: int, *, note: str = "", by: User | None, at: datetime) -> Alert:
    """Raises `Alert.DoesNotExist`, `InvalidAlerting`, and `NotNow` for one that does not fire or that somebody has."""
    line = " ".join(note.split())
    if len(line) > LONGEST_NOTE or "\x00" in line:
        said = Message("acknowledge-note", "The note has at most {most} characters.", most=LONGEST_NOTE)
        raise InvalidAlerting({"note": [said]})
    alert: Alert = Alert.objects.select_for_update().get(pk=key)
    if alert.state != Alert.State.FIRING:
        raise NotNow(Message("alert-not-firing", "The alert does not fire, so there is nothing to acknowledge."))
    if alert.acknowledged_at is not None:
        raise NotNow(
            Message("alert-acknowledged-already", "It is acknowledged already, by {by}.", by=alert.acknowledged_by_name)
        )
    name = by.get_username() if by else accounts.SYSTEM
    taken = alert.change(
        acknowledged_at=at, acknowledged_by_id=by.pk if by else None, acknowledged_by_name=name, acknowledge_note=line
    )
    if not taken:
        raise NotNow(Message("alert-changed", "The alert changed at this moment: look at it again."))
    accounts.record(by=by, verb="alert.acknowledge", target=alert, name=str(alert), data={"note": line})
    announce(alert, at)
    return alert
