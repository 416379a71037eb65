"""The time that processes go by: carried on from the last reading, whatever the machine's clock does."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from foundation.clock import JUMP, Clock, Reading, is_ahead, read_database_clock
from tests.databases import on_postgresql, on_sqlite

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def reading(at: datetime, instant: float, error: float = 0.001) -> Reading:
    """The clock said ``at`` at ``instant``."""
    return Reading(at, instant, error)


class TestClock:
    def test_before_the_first_reading_it_is_the_machines(self) -> None:
        assert abs(Clock().now() - timezone.now()) < SECOND
        assert abs(Clock().at(time.monotonic() - 60) - timezone.now() + 60 * SECOND) < SECOND

    def test_it_is_carried_on_by_the_monotonic_clock(self) -> None:
        clock = Clock()
        assert clock.follow(reading(NOON, 1_000)) == timedelta()
        assert [clock.at(instant) - NOON for instant in (990, 1_000, 1_007.5)] == [
            -10 * SECOND,
            0 * SECOND,
            7.5 * SECOND,
        ]

    def test_the_first_reading_is_no_jump_however_far_off_the_machine_is(self) -> None:
        assert Clock().follow(reading(NOON - timedelta(days=9_000), time.monotonic())) == timedelta()

    @pytest.mark.parametrize("moved", [-3600.0, -10.0, 10.0, 86_400.0])
    def test_what_no_drift_explains_is_a_jump_and_is_followed(self, moved: float) -> None:
        clock = Clock()
        clock.follow(reading(NOON, 1_000))
        assert clock.follow(reading(NOON + (5 + moved) * SECOND, 1_005)) == moved * SECOND
        assert clock.at(1_006) == NOON + (6 + moved) * SECOND
        assert clock.follow(reading(NOON + (10 + moved) * SECOND, 1_010)) == timedelta()

    def test_a_small_step_is_followed_without_a_word(self) -> None:
        clock = Clock()
        clock.follow(reading(NOON, 1_000))
        assert clock.follow(reading(NOON + 7 * SECOND, 1_005)) == timedelta()
        assert clock.at(1_005) == NOON + 7 * SECOND

    @pytest.mark.parametrize(("off", "error"), [(0.05, 0.001), (2.0, 3.0)])
    def test_what_the_way_to_the_database_explains_moves_nothing(self, off: float, error: float) -> None:
        clock = Clock()
        clock.follow(reading(NOON, 1_000))
        clock.follow(reading(NOON + (5 + off) * SECOND, 1_005, error))
        assert clock.at(1_005) == NOON + 5 * SECOND

    def test_it_can_be_forgotten(self) -> None:
        clock = Clock()
        clock.follow(reading(NOON, time.monotonic()))
        clock.forget()
        assert abs(clock.now() - timezone.now()) < SECOND


def test_a_stamp_is_ahead_only_beyond_what_counts_as_a_jump() -> None:
    assert not is_ahead(None, NOON)
    assert not is_ahead(NOON + JUMP, NOON)
    assert is_ahead(NOON + JUMP + SECOND, NOON)


@pytest.mark.django_db
def test_a_reading_of_the_databases_clock_has_its_instant() -> None:
    begun = time.monotonic()
    read = read_database_clock()
    assert begun <= read.instant <= time.monotonic()
    assert read.at.utcoffset() == timedelta()


def ahead_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> timedelta:
    """How far the database's clock goes ahead when the machine's is put ahead by a day."""
    real = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: real + timedelta(days=1))
    return read_database_clock().at - real


@on_postgresql
@pytest.mark.django_db
def test_postgresqls_clock_does_not_follow_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert abs(ahead_of_the_machine(monkeypatch)) < 5 * SECOND


@on_sqlite
@pytest.mark.django_db
def test_on_sqlite_the_machines_clock_is_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert abs(ahead_of_the_machine(monkeypatch) - timedelta(days=1)) < 5 * SECOND
