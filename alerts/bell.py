"""What every page says of alerts: how many fire that nobody has acknowledged; asked of the database every few seconds at most."""

from __future__ import annotations

import time

from alerts.models import Alert

SECONDS = 5.0
MOST = 1_000


class Bell:
    """The count of this process, kept for a moment."""

    def __init__(self) -> None:
        self._count = 0
        self._until = 0.0

    def count(self) -> int:
        """Firing alerts that are neither acknowledged nor silenced, counted up to `MOST`. Raises DatabaseError."""
        now = time.monotonic()
        if now >= self._until:
            self._count = Alert.objects.unattended().order_by()[:MOST].count()
            self._until = now + SECONDS
        return self._count

    def forget(self) -> None:
        """Count anew: somebody has just changed it."""
        self._until = 0.0


bell = Bell()
"""That of this process."""
