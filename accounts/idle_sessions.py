"""When a session is idle: nobody did anything with it for `SESSION_IDLE_SECONDS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings

# When a person did something last (seconds since 1970).
ACTIVE_KEY = "active_at"


def idle_seconds(session: Mapping[str, Any], now: float) -> float:
    """How long nobody did anything; 0 before that was noted for the first time."""
    since = session.get(ACTIVE_KEY)
    return now - since if isinstance(since, int | float) else 0.0


def is_idle(session: Mapping[str, Any], now: float) -> bool:
    """Whether it has ended by that. ``now`` in seconds since 1970."""
    limit = float(settings.SESSION_IDLE_SECONDS)
    return bool(limit) and idle_seconds(session, now) >= limit
