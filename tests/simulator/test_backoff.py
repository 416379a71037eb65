"""How long simulated agents wait before they come back."""

from __future__ import annotations

import random

import pytest

from simulator.backoff import Backoff


def waits(number: int, seed: int = 1) -> list[float]:
    """So many pauses in a row."""
    backoff = Backoff(random.Random(seed))
    return [backoff.next_seconds() for _ in range(number)]


def test_the_first_wait_is_short_and_later_ones_grow_to_a_minute_give_or_take_half() -> None:
    for seed in range(20):
        pauses = waits(40, seed)
        for number, pause in enumerate(pauses):
            step = min(0.5 * 1.5**number, 60.0)
            assert 0.5 * step <= pause <= 1.5 * step
        assert max(pauses[-5:]) > 30.0


def test_agents_do_not_come_back_as_one_herd() -> None:
    thirds = [waits(3, seed)[-1] for seed in range(50)]
    assert len(set(thirds)) == 50
    assert max(thirds) > 1.5 * min(thirds)


def test_an_answer_makes_the_next_wait_short_again() -> None:
    backoff = Backoff(random.Random(1))
    for _ in range(30):
        backoff.next_seconds()
    backoff.reset()
    assert backoff.next_seconds() <= 0.75


def test_what_the_server_asked_for_is_never_undercut() -> None:
    backoff = Backoff(random.Random(1))
    for _ in range(10):
        assert 40.0 <= backoff.next_seconds(40.0) <= 90.0


@pytest.mark.parametrize("asked", [10.0**9, float("inf")])
def test_nobody_waits_for_years(asked: float) -> None:
    assert Backoff(random.Random(1)).next_seconds(asked) <= 1.25 * 24 * 3600
