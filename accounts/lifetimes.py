"""How people write when a token ends: ``never``, ``30d``, ``2027-01-31`` or a time with its zone. Pure but for the time zone."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from accounts.services import TOKEN_LIFETIME, Never
from foundation.errors import DomainError
from foundation.messages import Message

DEFAULT = f"{TOKEN_LIFETIME.days}d"
_DAYS = re.compile(r"([0-9]{1,5})d")


class UnclearExpiry(DomainError):
    """What was written is no end of a token, or has passed; the text says what is accepted."""


def parse_expiry(text: str, *, at: datetime) -> datetime | Never:
    """The end that ``text`` means at ``at``; of a date its last moment. Raises `UnclearExpiry`."""
    written = text.strip().lower() or DEFAULT
    if written == Never.EXPIRES.value:
        return Never.EXPIRES
    try:
        end = _end(written, at)
    except (ValueError, OverflowError):
        end = None
    if end is None:
        raise UnclearExpiry(
            Message(
                "unclear-expiry",
                "Say never, a number of days such as 30d, or a date such as {date}.",
                date=f"{at.year + 1}-01-31",
            )
        )
    if end <= at:
        raise UnclearExpiry(Message("expiry-passed", "That has passed already."))
    return end


def _end(written: str, at: datetime) -> datetime | None:
    if days := _DAYS.fullmatch(written):
        return at + timedelta(days=int(days[1]))
    if date := parse_date(written):
        return timezone.make_aware(datetime.combine(date + timedelta(days=1), time()))
    moment = parse_datetime(written.upper())
    return timezone.make_aware(moment) if moment is not None and timezone.is_naive(moment) else moment
