"""How long to wait before connecting again. Pure but for the chance it is given."""

from __future__ import annotations

import random

_FIRST_SECONDS = 0.5
_FACTOR = 1.5
_LONGEST_SECONDS = 60.0
_LONGEST_ASKED_SECONDS = 24 * 3600.0
_JITTER = 0.5


class Backoff:
    """Exponential, with jitter; the first attempt after a success waits only a moment."""

    __slots__ = ("_chance", "_failures")

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._failures = 0

    def reset(self) -> None:
        """The server has answered."""
        self._failures = 0

    def next_seconds(self, at_least: float = 0.0) -> float:
        """Seconds to wait now: what the server asked for and up to a quarter more, or the next step if that is longer.

        More than a day is not waited for, whatever was asked.
        """
        step = min(_FIRST_SECONDS * _FACTOR**self._failures, _LONGEST_SECONDS)
        self._failures = min(self._failures + 1, 64)
        jittered = step * self._chance.uniform(1 - _JITTER, 1 + _JITTER)
        return max(jittered, min(at_least, _LONGEST_ASKED_SECONDS) * self._chance.uniform(1.0, 1.25))
