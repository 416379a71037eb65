"""How often open pages may read themselves again, so that all of them together take a small share of one core.

What a read costs is measured where pages are made (`opamp_platform.middleware`); sockets are told the distance with each hint. A
change now and then is shown at once; while changes go on, reads are spread. Pure: the clock comes in as an argument (seconds).
"""

from __future__ import annotations

# Of one core, for the pages that this process has told to read themselves; and how much of that may be saved up.
SHARE, _SAVED_SECONDS = 0.12, 10.0
BURST = SHARE * _SAVED_SECONDS
LEAST_SECONDS, MOST_SECONDS = 1.0, 120.0
# What a read costs before one was measured (seconds), and what a new measurement counts.
_FIRST_GUESS = 0.03
_WEIGHT = 0.1


class Pace:
    """The mean cost of a read, and how much reads took of late: it leaks away as fast as it may be taken."""

    def __init__(self) -> None:
        self.cost = _FIRST_GUESS
        self._level = 0.0
        self._at = 0.0

    def note(self, seconds: float, now: float) -> None:
        """A page was made again, in so many seconds of processor time."""
        seconds = min(max(seconds, 0.0), 10.0)
        self.cost += _WEIGHT * (seconds - self.cost)
        self._level, self._at = self._left(now) + seconds, now

    def seconds(self, pages: int, now: float) -> float:
        """The least time between two reads of one page while ``pages`` listen."""
        reads = pages * self.cost
        if self._left(now) + reads <= BURST:
            return LEAST_SECONDS
        return round(min(max(LEAST_SECONDS, reads / SHARE), MOST_SECONDS), 1)

    def _left(self, now: float) -> float:
        return max(self._level - SHARE * max(now - self._at, 0.0), 0.0)


PACE = Pace()
