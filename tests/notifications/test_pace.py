"""How often pages may read themselves again."""

from __future__ import annotations

import pytest

from notifications.pace import BURST, LEAST_SECONDS, MOST_SECONDS, SHARE, Pace


def pace_of(cost: float) -> Pace:
    """One that has measured reads for a while, the last of them long ago."""
    found = Pace()
    for _ in range(200):
        found.note(cost, 0.0)
    return found


def test_few_pages_are_as_quick_as_they_may_be() -> None:
    assert pace_of(0.02).seconds(1, 1e6) == LEAST_SECONDS
    assert pace_of(0.02).seconds(50, 1e6) == LEAST_SECONDS


def test_many_are_spread() -> None:
    assert pace_of(0.03).seconds(200, 1e6) == pytest.approx(0.03 * 200 / SHARE, rel=0.01)
    assert pace_of(0.03).seconds(100_000, 1e6) == MOST_SECONDS


def test_few_that_go_on_reading_are_spread_too() -> None:
    pace, now, spent = pace_of(0.03), 1e6, 0.0
    for _ in range(600):
        now += pace.seconds(20, now)
        for _page in range(20):
            pace.note(0.03, now)
            spent += 0.03
    assert spent / (now - 1e6) == pytest.approx(SHARE, rel=0.15)
    assert pace.seconds(20, now) > LEAST_SECONDS
    # What was saved up is there again after a while.
    assert pace.seconds(20, now + BURST / SHARE) == LEAST_SECONDS


def test_the_cost_follows_what_is_measured() -> None:
    pace = pace_of(0.01)
    for _ in range(50):
        pace.note(1.0, 0.0)
    assert pace.cost == pytest.approx(1.0, rel=0.01)
    pace.note(-5.0, 0.0)
    pace.note(1e9, 0.0)
    assert pace.cost < 3
    assert pace.seconds(1, -1e9) >= LEAST_SECONDS
