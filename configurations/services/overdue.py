"""What of this app is kept no longer: drafts that nobody saved for long, what is left of deleted configurations, their releases."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet

from agents.services.retention import RegisteredKind, before_days
from configurations.models import RELEASE_SUBJECT, ConfigurationDraft, DeletedConfiguration, Revision
from rollouts.services.past_retention import overdue_releases


def _drafts(at: datetime) -> QuerySet[Any]:
    return ConfigurationDraft.objects.filter(updated_at__lt=before_days(at, settings.DRAFT_RETENTION_DAYS))


def _deleted(at: datetime) -> QuerySet[Any]:
    limit = before_days(at, settings.DELETED_CONFIGURATION_RETENTION_DAYS)
    return DeletedConfiguration.objects.filter(deleted_at__lt=limit)


def _releases(at: datetime) -> QuerySet[Any]:
    """Of configurations that are deleted: a revision that is there keeps its own, which says that agents can be pinned to it."""
    named = Revision.objects.filter(release=OuterRef("pk"))
    return overdue_releases(RELEASE_SUBJECT, at).filter(~Exists(named))


KINDS = (
    RegisteredKind("drafts", _drafts),
    RegisteredKind("deleted configurations", _deleted),
    RegisteredKind("releases", _releases),
)
