"""Days as bytes, means of slots, and series in steps."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from telemetry.measures import MEASURES, Measure
from telemetry.slots import NOTHING, SLOT_SECONDS, SLOTS, Day, OpenSlot, days_between, slot_start, spread

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
VALUES = (0.5, 64.0, 3.0, 0.0, None, 0.25)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_a_day_is_as_large_as_said_and_comes_back() -> None:
    day = Day()
    day.put(NOON, VALUES)
    stored = day.stored()
    assert len(stored) == SLOTS * len(MEASURES) * 4
    assert Day(stored).get(later(299)) == VALUES
    assert Day(stored).get(later(300)) == NOTHING


def test_what_was_not_measured_leaves_what_is_there() -> None:
    day = Day()
    day.put(NOON, VALUES)
    day.put(NOON, (None, 128.0, None, None, 1.0, None))
    assert day.get(NOON) == (0.5, 128.0, 3.0, 0.0, 1.0, 0.25)


@pytest.mark.parametrize("stored", [b"", b"short", b"x" * 10_000])
def test_bytes_of_another_size_are_an_empty_day(stored: bytes) -> None:
    assert Day(stored).get(NOON) == NOTHING


def test_the_largest_numbers_fit() -> None:
    day = Day()
    day.put(NOON, (1e300, *NOTHING[1:]))
    assert day.get(NOON)[0] == pytest.approx(3.4e38)


def test_means_are_weighted() -> None:
    slot = OpenSlot()
    slot.add(Measure.ACCEPTED, 1.0, 60.0)
    slot.add(Measure.ACCEPTED, 4.0, 30.0)
    slot.add(Measure.MEMORY, 10.0)
    slot.add(Measure.MEMORY, 20.0)
    means = dict(zip(MEASURES, OpenSlot(slot.sums).means(), strict=True))
    assert means[Measure.ACCEPTED] == 2.0
    assert means[Measure.MEMORY] == 15.0
    assert means[Measure.CPU] is None


def test_slots_begin_on_the_clock() -> None:
    assert slot_start(later(4 * 60 + 59)) == NOON
    assert slot_start(later(5 * 60)) == later(300)


def test_steps_are_means_of_their_slots_with_gaps() -> None:
    day = Day()
    for number, value in enumerate((1.0, 2.0, None, 6.0)):
        day.put(later(number * SLOT_SECONDS), (value, *NOTHING[1:]))
    found = spread({NOON.date(): day}, NOON, later(1_800), 900)
    assert [(at, means[0]) for at, means in found] == [(NOON, 1.5), (later(900), 6.0), (later(1_800), None)]


def test_over_midnight() -> None:
    night = datetime(2026, 3, 1, 23, 55, tzinfo=UTC)
    days = {date(2026, 3, 1): Day(), date(2026, 3, 2): Day()}
    days[date(2026, 3, 1)].put(night, VALUES)
    days[date(2026, 3, 2)].put(night + timedelta(minutes=5), VALUES)
    assert days_between(night, night + timedelta(minutes=5)) == [*days]
    assert [means[0] for _at, means in spread(days, night, night + timedelta(minutes=5), 300)] == [0.5, 0.5]
