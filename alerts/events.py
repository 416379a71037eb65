"""What alerts tell other apps. Knows neither rows nor who listens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from foundation.events import Event
from foundation.messages import Message


@dataclass(frozen=True, slots=True)
class AlertEvent(Event):
    """An alert began to fire, was resolved, or was acknowledged.

    ``state`` is a value of `alerts.models.Alert.State`. ``silenced``: it is shown and not sent.
    """

    alert_id: int
    rule_name: str
    severity: str
    state: str
    acknowledged: bool
    silenced: bool
    text: Message
    labels: Mapping[str, str]
    at: datetime
