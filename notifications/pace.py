"""How often open pages may read themselves again, so that all of them together take a small share of one core.

What a read costs is measured where pages are made (`opamp_platform.middleware`); sockets are told the distance with each hint.
Pure.
"""

from __future__ import annotations

# Of one core, for the pages that this process has told to read themselves.
SHARE = 0.10
LEAST_SECONDS, MOST_SECONDS = 1.0, 120.0
# What a read costs before one was measured (seconds), and what a new measurement counts.
_FIRST_GUESS = 0.03
_WEIGHT = 0.1


class Pace:
    """The mean cost of a read, and the distance between two reads of one page that follows from it."""

    def __init__(self) -> None:
        self.cost = _FIRST_GUESS

    def note(self, seconds: float) -> None:
        """A page was made again, in so many seconds of processor time."""
        self.cost += _WEIGHT * (min(max(seconds, 0.0), 10.0) - self.cost)

    def seconds(self, pages: int) -> float:
        """The least time between two reads of one page while ``pages`` listen."""
        return round(min(max(LEAST_SECONDS, pages * self.cost / SHARE), MOST_SECONDS), 1)


PACE = Pace()
