"""The time that all processes go by: the database's, carried on by each process's own monotonic clock.

Clocks of machines differ and jump. What processes compare with each other's time stamps must come from one clock, and that
is PostgreSQL's; on SQLite it is the machine's own. A process reads it with every beat, and a jump between two readings is
noticed for what it is. Here, below everything else, because API tokens go by it as well.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.utils import timezone

# Readings that differ by less from what was expected tell of the way to the database, not of its clock (seconds).
_TOLERANCE_SECONDS = 0.1
# Nothing that keeps a clock right moves it so far at once.
JUMP = timedelta(seconds=10)
# Two processes' readings of one clock differ by less: within it the numbers of an agent say which word came later.
READING_SLACK = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Reading:
    """``at`` was the time at ``instant`` (seconds of `time.monotonic`), known to within ``error`` (seconds)."""

    at: datetime
    instant: float
    error: float


class Clock:
    """Tells the time from the last reading; before the first one, and in commands, it is the machine's."""

    def __init__(self) -> None:
        self._reading: Reading | None = None

    def now(self) -> datetime:
        """The time now, in UTC."""
        return self.at(time.monotonic())

    def at(self, instant: float) -> datetime:
        """The time at ``instant`` (seconds of `time.monotonic`), as it is reckoned now."""
        reading = self._reading
        if reading is None:
            return timezone.now() - timedelta(seconds=time.monotonic() - instant)
        return reading.at + timedelta(seconds=instant - reading.instant)

    def follow(self, reading: Reading) -> timedelta:
        """Go by ``reading`` from now on; returns how far the clock jumped since the one before, zero when it did not."""
        moved = reading.at - self.at(reading.instant)
        first = self._reading is None
        if first or abs(moved.total_seconds()) > max(_TOLERANCE_SECONDS, reading.error):
            self._reading = reading
        return timedelta() if first or abs(moved) < JUMP else moved

    def forget(self) -> None:
        """Go by the machine's clock again."""
        self._reading = None


clock = Clock()
"""The clock of this process."""


def read_database_clock() -> Reading:
    """What the database's clock says now. Raises DatabaseError when it is away."""
    begun = time.monotonic()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            at = cursor.fetchone()[0].astimezone(UTC)
    else:
        at = timezone.now()
    done = time.monotonic()
    return Reading(at, (begun + done) / 2, (done - begun) / 2)


def is_ahead(stamp: datetime | None, at: datetime) -> bool:
    """True for a time stamp that lies in the future of ``at``: the clock that set it was put back since."""
    return stamp is not None and stamp - at > JUMP
