"""Edits that are based on what somebody read: refused when that is not the present any more."""

from __future__ import annotations

from collections.abc import Collection

from alerts.errors import ChangedMeanwhile
from alerts.models import AlertRule, Receiver
from foundation.messages import Message


def must_be_edition(row: AlertRule | Receiver, editions: Collection[int] | None) -> None:
    """Raises `ChangedMeanwhile` unless ``row`` is one of these editions; ``None`` is any."""
    if editions is not None and row.edition not in editions:
        raise ChangedMeanwhile(Message("alerting-changed", "Somebody else has changed it: look at it again."))
