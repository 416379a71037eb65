"""Who is told of an alert: a delivery for each receiver, written in the transaction that changes the alert."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db.models import QuerySet

from alerts.events import AlertEvent
from alerts.models import Alert, AlertDelivery, AlertRule, AlertSeverity, Receiver
from alerts.notices import Notice
from alerts.services.delivering import start_delivery
from foundation.events import publish
from foundation.topics import tell_changed

MOST_RECEIVERS = 50
_UNFINISHED_OR_SENT = (AlertDelivery.State.WAITING, AlertDelivery.State.SENDING, AlertDelivery.State.SENT)


def receivers_of(rule: AlertRule) -> list[Receiver]:
    """Those that are told of its alerts: its own, else the default ones; without those that are off or care for worse only."""
    own = rule.receivers.all()
    chosen: QuerySet[Receiver] = own if own.exists() else Receiver.objects.filter(is_default=True)
    order = AlertSeverity.values
    found = chosen.filter(enabled=True).order_by("pk")[:MOST_RECEIVERS]
    return [row for row in found if order.index(row.least_severity) <= order.index(rule.severity)]


def told_of(alert: Alert) -> list[Receiver]:
    """Those that got it, or will, when it began to fire."""
    deliveries = AlertDelivery.objects.filter(alert=alert, state__in=_UNFINISHED_OR_SENT)
    deliveries = deliveries.exclude(event=AlertDelivery.Event.RESOLVED)
    return list(Receiver.objects.filter(enabled=True, pk__in=deliveries.values("receiver")).order_by("pk"))


def tell_receivers(
    alert: Alert, event: AlertDelivery.Event, receivers: Iterable[Receiver], rule: AlertRule | None, at: datetime
) -> None:
    """Write the deliveries of one notice, each with its job; ``alert.notices`` counts it already, so that it is written once."""
    notice = notice_of(alert, event, rule).as_json()
    for receiver in receivers:
        delivery = AlertDelivery.objects.create(
            receiver=receiver,
            alert=alert,
            sequence=alert.notices,
            event=event,
            notice=notice,
            created_at=at,
            next_attempt_at=at,
        )
        start_delivery(delivery)
        tell_changed("alerts.alertdelivery", delivery.pk)


def announce(alert: Alert, at: datetime) -> None:
    """Tell other apps that it changed."""
    publish(AlertEvent, (event_of(each, at) for each in [alert]))


def event_of(alert: Alert, at: datetime) -> AlertEvent:
    """What other apps hear of it."""
    return AlertEvent(
        alert_id=alert.pk,
        rule_name=alert.rule_name,
        severity=alert.severity,
        state=str(alert.state),
        acknowledged=alert.acknowledged_at is not None,
        silenced=alert.silence_id is not None,
        text=alert.message,
        labels=alert.labels,
        at=at,
    )


def notice_of(alert: Alert, event: str, rule: AlertRule | None) -> Notice:
    """What is told of it now."""
    return Notice(
        event=str(event),
        alert_id=alert.pk,
        rule=alert.rule_name,
        kind=alert.kind,
        severity=alert.severity,
        state=str(alert.state),
        group=alert.group_words,
        labels=alert.labels,
        message=alert.text,
        count=alert.count,
        total=alert.total,
        sample=alert.sample,
        description=rule.description if rule else "",
        started_at=alert.started_at.isoformat(timespec="seconds"),
        fired_at=alert.fired_at.isoformat(timespec="seconds") if alert.fired_at else None,
        resolved_at=alert.resolved_at.isoformat(timespec="seconds") if alert.resolved_at else None,
        repeat_seconds=rule.repeat_seconds if rule else 0,
    )
