"""Why and until when something is held: what people write about freezes, pauses and pins, judged. It must not know any model."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from foundation.errors import DomainError
from foundation.messages import Message

LONGEST_REASON = 500
LONGEST_TIME = timedelta(days=366)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class InvalidReason(DomainError):
    """What was given is no reason; the text says why."""


class InvalidExpiry(DomainError):
    """What was given is no end; the text says why."""


def checked_reason(text: str) -> str:
    """``text`` as it is kept: one line of at most 500 characters that says something. Raises `InvalidReason`."""
    line = text.strip()
    if not line:
        raise InvalidReason(Message("reason-missing", "Say why, in a line: others will want to know."))
    if len(line) > LONGEST_REASON or _CONTROL.search(line):
        raise InvalidReason(
            Message("reason-not-a-line", "The reason is one line of at most {most} characters.", most=LONGEST_REASON)
        )
    return line


def checked_expiry(expires_at: datetime | None, at: datetime) -> datetime | None:
    """The end, or ``None`` for none. Raises `InvalidExpiry` for one that is not ahead of ``at``, or further than a year."""
    if expires_at is not None and not at < expires_at <= at + LONGEST_TIME:
        raise InvalidExpiry(
            Message("expiry-out-of-range", "The end lies ahead, and at most {days} days.", days=LONGEST_TIME.days)
        )
    return expires_at
