"""Reading the audit trail by person, verb and time: what the page and REST have in common."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from enum import Enum

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from accounts.models import AuditEntry
from foundation.errors import DomainError
from foundation.messages import Message


class Bound(Enum):
    """Which side of a moment is meant; a day is meant whole."""

    SINCE = "since"
    UNTIL = "until"


class UnclearMoment(DomainError):
    """What was written is neither a day nor a time."""

    def __init__(self) -> None:
        super().__init__(
            Message("unclear-moment", "Write a day or a time, such as 2030-01-31 or 2030-01-31T12:00:00Z.")
        )


def moment(text: str, bound: Bound) -> datetime:
    """The moment that ``text`` means, in the portal's time zone unless it names one. Raises `UnclearMoment`."""
    try:
        day = parse_date(text)
        if day is not None:
            day += timedelta(days=1) if bound is Bound.UNTIL else timedelta()
            return timezone.make_aware(datetime.combine(day, time()))
        # A "+" that was not URL-encoded arrives as a blank.
        at = parse_datetime(text.replace(" ", "+") if "T" in text else text)
        if at is not None:
            return timezone.make_aware(at) if timezone.is_naive(at) else at
    except (ValueError, OverflowError):
        pass
    raise UnclearMoment


def since_or_until(entries: QuerySet[AuditEntry], at: datetime, bound: Bound) -> QuerySet[AuditEntry]:
    """From ``at`` on, or before it."""
    return entries.filter(at__gte=at) if bound is Bound.SINCE else entries.filter(at__lt=at)


def by_actor(entries: QuerySet[AuditEntry], name: str) -> QuerySet[AuditEntry]:
    """Those of one person, by the whole name; all without one."""
    return entries.filter(actor_name=name) if name else entries


def by_verb(entries: QuerySet[AuditEntry], verb: str) -> QuerySet[AuditEntry]:
    """Those with this verb; with a dot at the end, those of all verbs that begin so; all without one."""
    if not verb:
        return entries
    return entries.filter(verb__startswith=verb) if verb.endswith(".") else entries.filter(verb=verb)
