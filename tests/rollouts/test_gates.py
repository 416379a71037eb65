"""Gates of stages: what is met, what fails, how long it has to hold, and clocks that are put back. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rollouts.errors import InvalidPolicy
from rollouts.gates import DEFAULT_TIMEOUT_SECONDS, Counts, GateVerdict, StageGate, parse_gate

BEGAN = datetime(2026, 1, 5, tzinfo=UTC)
WAIT, PASSED, FAILED = GateVerdict.WAIT, GateVerdict.PASSED, GateVerdict.FAILED


def judged(gate: StageGate, counts: Counts, after: float = 0, held_after: float | None = None) -> tuple[Any, ...]:
    """The verdict ``after`` so many seconds, with the codes of its reasons and since when it has held (seconds)."""
    held = None if held_after is None else BEGAN + timedelta(seconds=held_after)
    found = gate.judge(counts, began_at=BEGAN, held_since=held, at=BEGAN + timedelta(seconds=after))
    since = None if found.held_since is None else (found.held_since - BEGAN).total_seconds()
    return found.verdict, [reason.code for reason in found.reasons], since


def test_who_counts() -> None:
    counts = Counts(applied=3, failed=3, waiting=3, unhealthy=1, lost=3, offline=3, held=3, incapable=3)
    assert counts.judged == 12
    assert counts.agents == 21


def test_five_counts_are_all_agents_each_once() -> None:
    counts = Counts(1, 20, 300, 1, 4_000, 50_000, 600_000, 7_000_000, to_come=80_000_000, to_come_offline=30_000_000)
    said = counts.as_json()
    assert said == {
        "done": 1, "pending": 50_600_300, "offline": 30_054_000, "failed": 20, "incapable": 7_000_000,
        "unhealthy": 1, "lost": 4_000, "waiting": 300, "held": 600_000, "to_come": 80_000_000,
    }  # fmt: skip
    assert sum(list(said.values())[:5]) == counts.agents


@pytest.mark.parametrize(
    ("gate", "counts", "verdict", "reasons"),
    [
        # All have applied it, or there is nobody.
        ({}, {"applied": 10}, PASSED, []),
        ({}, {}, PASSED, []),
        ({}, {"applied": 9, "waiting": 1}, WAIT, ["gate-applied"]),
        # Who cannot be judged is in nobody's way.
        ({}, {"applied": 1, "offline": 5, "held": 5, "incapable": 5}, PASSED, []),
        ({"applied_percent": 90}, {"applied": 9, "waiting": 1}, PASSED, []),
        ({"applied_percent": 91}, {"applied": 9, "waiting": 1}, WAIT, ["gate-applied"]),
        ({"applied_percent": 0}, {"waiting": 1}, PASSED, []),
        # To one agent of a thousand.
        ({"applied_percent": 99}, {"applied": 989, "waiting": 11}, WAIT, ["gate-applied"]),
        ({"applied_percent": 99}, {"applied": 990, "waiting": 10}, PASSED, []),
        ({"healthy_percent": 99}, {"applied": 1_000, "unhealthy": 11}, WAIT, ["gate-healthy"]),
        ({"healthy_percent": 99}, {"applied": 1_000, "unhealthy": 10}, PASSED, []),
        (
            {"applied_percent": 0, "disconnected_percent_max": 99},
            {"applied": 9, "lost": 991},
            WAIT,
            ["gate-disconnected"],
        ),
        ({"applied_percent": 0, "disconnected_percent_max": 99}, {"applied": 10, "lost": 990}, PASSED, []),
        # Failures count at once.
        ({}, {"applied": 9, "failed": 1}, FAILED, ["gate-failed"]),
        ({"failed_max": 1, "applied_percent": 90}, {"applied": 9, "failed": 1}, PASSED, []),
        ({"failed_max": 1, "applied_percent": 80}, {"applied": 8, "failed": 2}, FAILED, ["gate-failed"]),
        ({"failed_max": 1}, {"applied": 9, "failed": 1}, WAIT, ["gate-applied"]),
        # Health, of those that applied it.
        ({"healthy_percent": 90}, {"applied": 10, "unhealthy": 1}, PASSED, []),
        ({"healthy_percent": 91}, {"applied": 10, "unhealthy": 1}, WAIT, ["gate-healthy"]),
        ({"healthy_percent": 100}, {}, PASSED, []),
        # Those that got it and are away.
        ({"applied_percent": 90, "disconnected_percent_max": 10}, {"applied": 9, "lost": 1}, PASSED, []),
        (
            {"applied_percent": 90, "disconnected_percent_max": 9},
            {"applied": 9, "lost": 1},
            WAIT,
            ["gate-disconnected"],
        ),
        (
            {"applied_percent": 100, "healthy_percent": 100, "disconnected_percent_max": 0},
            {"applied": 2, "unhealthy": 1, "lost": 1},
            WAIT,
            ["gate-applied", "gate-healthy", "gate-disconnected"],
        ),
    ],
)
def test_what_is_met(gate: dict[str, int], counts: dict[str, int], verdict: GateVerdict, reasons: list[str]) -> None:
    found, codes, since = judged(StageGate(**gate), Counts(**counts))
    assert (found, codes) == (verdict, reasons)
    assert since == (0 if verdict is PASSED else None)


MET, NOT_MET = Counts(applied=1), Counts(waiting=1)
DWELLS = StageGate(dwell_seconds=60, timeout_seconds=100)


@pytest.mark.parametrize(
    ("counts", "after", "held_after", "expected"),
    [
        # It begins to hold, holds, has held.
        (MET, 10, None, (WAIT, ["gate-holding"], 10)),
        (MET, 69, 10, (WAIT, ["gate-holding"], 10)),
        (MET, 70, 10, (PASSED, [], 10)),
        # What holds is not given up when the time is over.
        (MET, 120, 90, (WAIT, ["gate-holding"], 90)),
        # It holds no longer: what was held is forgotten.
        (NOT_MET, 50, 10, (WAIT, ["gate-applied"], None)),
        (NOT_MET, 99, None, (WAIT, ["gate-applied"], None)),
        (NOT_MET, 100, None, (FAILED, ["gate-timeout", "gate-applied"], None)),
        # The clock was put back: it holds since now, and a stage of the future has all its time.
        (MET, 5, 3_600, (WAIT, ["gate-holding"], 5)),
        (NOT_MET, -3_600, None, (WAIT, ["gate-applied"], None)),
        # It was put forward by a day: the time is over, but what is met is not failed.
        (NOT_MET, 86_400, None, (FAILED, ["gate-timeout", "gate-applied"], None)),
        (MET, 86_400, None, (WAIT, ["gate-holding"], 86_400)),
    ],
)
def test_how_long(counts: Counts, after: float, held_after: float | None, expected: tuple[Any, ...]) -> None:
    assert judged(DWELLS, counts, after, held_after) == expected


def test_reasons_carry_their_numbers() -> None:
    gate = StageGate(healthy_percent=90, disconnected_percent_max=5, timeout_seconds=7)
    counts = Counts(applied=2, unhealthy=1, lost=1, waiting=1)
    found = gate.judge(counts, began_at=BEGAN, held_since=None, at=BEGAN + timedelta(seconds=7))
    assert [str(reason) for reason in found.reasons] == [
        "The time of 7 seconds is over.",
        "2 of 4 agents have applied it; 100 % are needed.",
        "1 of 2 agents that applied it are healthy; 90 % are needed.",
        "1 of 4 agents that got it are disconnected; at most 5 % may be.",
    ]
    failed = StageGate(failed_max=1).judge(Counts(failed=3), began_at=BEGAN, held_since=None, at=BEGAN)
    assert [str(reason) for reason in failed.reasons] == ["3 agents failed to apply it; at most 1 may."]


def test_the_stored_form_comes_back() -> None:
    gate = StageGate(95, 1, 90, 5, 300, 900)
    assert parse_gate(gate.as_json()) == gate
    assert parse_gate({}) == StageGate()
    assert StageGate().timeout_seconds == DEFAULT_TIMEOUT_SECONDS == 1800


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("applied_percent", 0, 100),
        ("failed_max", 0, 1_000_000),
        ("healthy_percent", 0, 100),
        ("disconnected_percent_max", 0, 100),
        ("dwell_seconds", 0, 2_592_000),
        ("timeout_seconds", 1, 2_592_000),
    ],
)
def test_limits(name: str, least: int, most: int) -> None:
    for value in (least, most):
        assert getattr(parse_gate({name: value}), name) == value
    for value in (least - 1, most + 1, True, 1.0, "1", None):
        with pytest.raises(InvalidPolicy) as refused:
            parse_gate({name: value})
        assert str(refused.value) == f"{name} of a gate is a whole number from {least} to {most}."


@pytest.mark.parametrize("form", [None, 7, "", [], [1], {"applied": 1}, {1: 1}])
def test_what_is_no_gate_is_refused(form: object) -> None:
    with pytest.raises(InvalidPolicy):
        parse_gate(form)
