"""What open pages about alerts listen to: the list, one alert with what was told of it, and the bell of every page."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from alerts.models import AlertDelivery
from foundation.topics import Topic, register_topic

_SEE = "alerts.view_alert"


def alerts_told(rows: Collection[str], wanted: Collection[str]) -> Iterable[str]:
    """Those of the alerts looked at that these deliveries tell of."""
    keys = AlertDelivery.objects.filter(pk__in=rows).order_by().values_list("alert", flat=True)
    return set(wanted).intersection(map(str, keys))


def register() -> None:
    """Called when Django is ready."""
    register_topic(Topic("alerts", _SEE, {"alerts.alert": None}))
    follows = {"alerts.alert": None, "alerts.alertdelivery": alerts_told}
    register_topic(Topic("alert", _SEE, follows, keyed=True))
