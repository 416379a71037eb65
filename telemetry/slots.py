"""A day of an agent as numbers: 288 slots of five minutes with six values each. Pure; knows no rows.

A day's bytes are 32-bit floats, little-endian, slot after slot; what was not measured is NaN.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from telemetry.measures import MEASURES, Measure

SLOT_SECONDS = 300
SLOTS = 86_400 // SLOT_SECONDS
DAYS = 7
"""So long a day is kept after it has ended."""
_WIDTH = len(MEASURES)
_SIZE = SLOTS * _WIDTH * 4

Values = tuple[float | None, ...]
"""One for each of `MEASURES`."""
NOTHING: Values = (None,) * _WIDTH


def slot_start(at: datetime) -> datetime:
    """When the slot began in which ``at`` is."""
    return datetime.fromtimestamp(int(at.timestamp()) // SLOT_SECONDS * SLOT_SECONDS, UTC)


class OpenSlot:
    """Means of the slot that is not over: by measure the weighted sum of its values, and the sum of weights, as JSON keeps it."""

    def __init__(self, sums: Mapping[str, Sequence[float]] | None = None) -> None:
        self.sums: dict[str, list[float]] = {name: list(pair) for name, pair in (sums or {}).items()}

    def add(self, measure: Measure, value: float, weight: float = 1.0) -> None:
        """Count ``value``, for as many seconds or times as ``weight`` says."""
        total, weights = self.sums.get(measure, (0.0, 0.0))
        self.sums[measure.value] = [total + value * weight, weights + weight]

    def means(self) -> Values:
        """The means so far; ``None`` for what was not measured."""
        pairs = (self.sums.get(measure) for measure in MEASURES)
        return tuple(pair[0] / pair[1] if pair and pair[1] > 0 else None for pair in pairs)


class Day:
    """The slots of one day in UTC."""

    def __init__(self, stored: bytes | memoryview = b"") -> None:
        self._floats = array("f")
        raw = bytes(stored)
        if len(raw) == _SIZE:
            self._floats.frombytes(raw)
            if sys.byteorder == "big":
                self._floats.byteswap()
        else:
            self._floats.extend([math.nan] * (SLOTS * _WIDTH))

    def put(self, at: datetime, values: Values) -> None:
        """Set the slot in which ``at`` is; what was not measured leaves what is there."""
        base = _place(at) * _WIDTH
        for offset, value in enumerate(values):
            if value is not None:
                self._floats[base + offset] = min(value, 3.4e38)

    def get(self, at: datetime) -> Values:
        """The values of the slot in which ``at`` is."""
        base = _place(at) * _WIDTH
        return tuple(None if math.isnan(value) else value for value in self._floats[base : base + _WIDTH])

    def stored(self) -> bytes:
        """The day as bytes."""
        floats = self._floats
        if sys.byteorder == "big":
            floats = array("f", floats)
            floats.byteswap()
        return floats.tobytes()


def _place(at: datetime) -> int:
    return int(at.timestamp()) % 86_400 // SLOT_SECONDS


def days_between(since: datetime, until: datetime) -> list[date]:
    """The days in UTC that have slots from ``since`` to ``until``."""
    first, last = since.astimezone(UTC).date(), until.astimezone(UTC).date()
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def spread(days: Mapping[date, Day], since: datetime, until: datetime, step: int) -> list[tuple[datetime, Values]]:
    """The values from ``since`` to ``until`` in steps of ``step`` seconds, a multiple of a slot; each the mean of its slots.

    Begins where a step does, at or before ``since``. Steps in which nothing was measured are there too.
    """
    at = datetime.fromtimestamp(int(since.timestamp()) // step * step, UTC)
    found: list[tuple[datetime, Values]] = []
    while at <= until:
        slots = []
        for number in range(step // SLOT_SECONDS):
            moment = at + timedelta(seconds=number * SLOT_SECONDS)
            day = days.get(moment.date())
            if day is not None:
                slots.append(day.get(moment))
        found.append((at, _means(slots)))
        at += timedelta(seconds=step)
    return found


def _means(slots: Iterable[Values]) -> Values:
    columns = list(zip(*slots, strict=True))
    if not columns:
        return NOTHING
    measured = ([value for value in column if value is not None] for column in columns)
    return tuple(math.fsum(values) / len(values) if values else None for values in measured)
