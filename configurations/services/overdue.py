"""What of this app is kept no longer: drafts that nobody saved for long, and what is left of deleted configurations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from agents.services.retention import RegisteredKind, before_days
from configurations.models import ConfigurationDraft, DeletedConfiguration


def _drafts(at: datetime) -> QuerySet[Any]:
    return ConfigurationDraft.objects.filter(updated_at__lt=before_days(at, settings.DRAFT_RETENTION_DAYS))


def _deleted(at: datetime) -> QuerySet[Any]:
    limit = before_days(at, settings.DELETED_CONFIGURATION_RETENTION_DAYS)
    return DeletedConfiguration.objects.filter(deleted_at__lt=limit)


KINDS = (RegisteredKind("drafts", _drafts), RegisteredKind("deleted configurations", _deleted))
