"""What open pages about alerts listen to: the list, one alert with what was told of it, the bell of every page, deliveries."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from alerts.models import AlertDelivery
from foundation.topics import Topic, register_topic, unnamed

_SEE = "alerts.view_alert"
_SEE_DELIVERIES = "alerts.view_alertdelivery"
_DELIVERY = "alerts.alertdelivery"


def alerts_told(rows: Collection[str], wanted: Collection[str]) -> Iterable[str]:
    """Those of the alerts looked at that these deliveries tell of."""
    keys = AlertDelivery.objects.filter(pk__in=rows).order_by().values_list("alert", flat=True)
    return set(wanted).intersection(map(str, keys))


def register() -> None:
    """Called when Django is ready."""
    register_topic(Topic("alerts", _SEE, {"alerts.alert": None}))
    follows = {"alerts.alert": None, _DELIVERY: alerts_told}
    register_topic(Topic("alert", _SEE, follows, keyed=True))
    # With a receiver that is deleted its deliveries go.
    register_topic(Topic("alert-deliveries", _SEE_DELIVERIES, {_DELIVERY: None, "alerts.receiver": unnamed}))
    register_topic(Topic("alert-delivery", _SEE_DELIVERIES, {_DELIVERY: None}, keyed=True))
