"""What of this app is kept no longer: rollouts and freezes that ended long ago.

A rollout that can be rolled back yet stays: an aborted one whose release is in force. Releases are pruned by the apps whose
things were released, for those know which they need (`overdue_releases`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet

from agents.services.retention import RegisteredKind, before_days
from rollouts.models import Freeze, Release, Rollout


def _limit(at: datetime) -> datetime:
    return before_days(at, settings.ROLLOUT_RETENTION_DAYS)


def _rollouts(at: datetime) -> QuerySet[Any]:
    ended = Rollout.objects.filter(ended_at__lt=_limit(at))
    return ended.exclude(state=Rollout.State.ABORTED, release__isnull=False, release__ended_at=None)


def overdue_releases(subject: str, at: datetime) -> QuerySet[Release]:
    """Releases of this kind of thing that ended long ago and that no rollout tells of; those in force are none of them."""
    told = Rollout.objects.filter(release=OuterRef("pk"))
    return Release.objects.filter(~Exists(told), subject=subject, ended_at__lt=_limit(at))


def _freezes(at: datetime) -> QuerySet[Any]:
    return Freeze.objects.filter(ended_at__lt=_limit(at))


# Steps go with their rollouts.
KINDS = (RegisteredKind("rollouts", _rollouts, referred=True), RegisteredKind("freezes", _freezes))
