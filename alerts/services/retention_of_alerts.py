"""What of this app is kept no longer: alerts that are over, with their deliveries, and silences."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet

from agents.services.retention import RegisteredKind, before_days
from alerts.models import Alert, Silence


def _alerts(at: datetime) -> QuerySet[Any]:
    limit = before_days(at, settings.ALERTS.retention_days)
    return Alert.objects.filter(state=Alert.State.RESOLVED, resolved_at__lt=limit)


def _silences(at: datetime) -> QuerySet[Any]:
    limit = before_days(at, settings.ALERTS.retention_days)
    return Silence.objects.filter(Q(expires_at__lt=limit) | Q(ended_at__lt=limit))


KINDS = (
    RegisteredKind("alerts", _alerts, referred=True),
    RegisteredKind("silences", _silences, referred=True),
)
