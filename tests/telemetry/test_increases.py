"""Rates from sums: ordinary ones, and what agents, networks and clocks do to them."""

from __future__ import annotations

import pytest

from telemetry.increases import LONGEST_GAP, MOST_SERIES, FlowKey, Known, Point, Rate, SeriesKey, advance, advance_flows
from telemetry.measures import Measure

SECOND = 1_000_000_000
START = 1_000 * SECOND
A = SeriesKey(Measure.ACCEPTED, "a")
B = SeriesKey(Measure.ACCEPTED, "b")
CPU = SeriesKey(Measure.CPU, "c")


def at(seconds: float, value: float, start: float = 0.0) -> Point:
    return Point(value, int((1_000 + seconds) * SECOND), int((1_000 + start) * SECOND))


@pytest.mark.parametrize(
    ("points", "rates"),
    [
        pytest.param([at(0, 10)], [None], id="the first is no rate"),
        pytest.param([at(0, 10), at(60, 70)], [None, Rate(1.0, 60.0)], id="two are one"),
        pytest.param([at(0, 10), at(60, 10)], [None, Rate(0.0, 60.0)], id="nothing happened"),
        pytest.param([at(0, 10), at(60, 70), at(120, 5)], [None, Rate(1.0, 60.0), None], id="reset"),
        pytest.param([at(0, 10), at(60, 70, start=30)], [None, None], id="restarted and counted further than before"),
        pytest.param(
            [at(0, 10), at(60, 5), at(120, 65)], [None, None, Rate(1.0, 60.0)], id="a rate again after a reset"
        ),
        pytest.param([at(0, 10), at(60, 70), at(60, 70)], [None, Rate(1.0, 60.0), "not told"], id="twice"),
        pytest.param([at(0, 10), at(60, 70), at(30, 40)], [None, Rate(1.0, 60.0), "not told"], id="late"),
        pytest.param(
            [at(0, 10), at(60, 70), at(30, 40), at(120, 130)],
            [None, Rate(1.0, 60.0), "not told", Rate(1.0, 60.0)],
            id="what is late harms nobody",
        ),
        pytest.param([at(0, 10), at(60.5, 70), at(61, 1e6)], [None, Rate(60 / 60.5, 60.5), "not told"], id="too close"),
        pytest.param([at(0, 10), at(LONGEST_GAP + 1, 70)], [None, None], id="a silence"),
        pytest.param([at(0, 10), at(LONGEST_GAP, 910)], [None, Rate(1.0, LONGEST_GAP)], id="just no silence"),
        pytest.param([at(0, 10), at(-500, 20)], [None, "not told"], id="clock back by minutes: as late"),
        pytest.param(
            [at(0, 10), at(-900, 20), at(-840, 80)], [None, None, Rate(1.0, 60.0)], id="clock back by more: anew"
        ),
        pytest.param([at(0, 0), at(60, 1e18)], [None, Rate(1e18 / 60, 60.0)], id="huge"),
    ],
)
def test_one_series(points: list[Point], rates: list[Rate | None | str]) -> None:
    known: Known = {}
    found: list[object] = []
    for point in points:
        step = advance(known, {A: point})
        known = step.known
        found.append(step.rates.get(A.measure, "not told"))
    assert found == rates


class TestSeveral:
    def test_series_of_a_measure_are_added(self) -> None:
        known = advance({}, {A: at(0, 0), B: at(0, 100), CPU: at(0, 1)}).known
        assert advance(known, {A: at(60, 60), B: at(60, 220), CPU: at(60, 31)}).rates == {
            Measure.ACCEPTED: Rate(3.0, 60.0),
            Measure.CPU: Rate(0.5, 60.0),
        }

    def test_one_that_appears_beside_others_counts_from_zero(self) -> None:
        failed = SeriesKey(Measure.FAILED, "f")
        known = advance({}, {A: at(0, 0)}).known
        assert advance(known, {A: at(60, 60), failed: at(60, 30)}).rates[Measure.FAILED] == Rate(0.5, 60.0)

    def test_but_not_when_nothing_goes_on(self) -> None:
        """The second half of what is sent in two requests must not look like a storm."""
        known = advance({}, {A: at(0, 1_000_000)}).known
        step = advance(known, {B: at(0, 1_000_000)})
        assert step.rates == {Measure.ACCEPTED: None}
        assert advance(step.known, {A: at(60, 1_000_060)}).rates == {Measure.ACCEPTED: Rate(1.0, 60.0)}

    def test_after_a_restart_the_new_ones_are_nobodys_rate_either(self) -> None:
        known = advance({}, {A: at(0, 500)}).known
        assert advance(known, {A: at(60, 5, start=50), B: at(60, 5, start=50)}).rates == {Measure.ACCEPTED: None}

    def test_they_are_bounded_and_the_dropped_are_counted(self) -> None:
        points = {SeriesKey(Measure.ACCEPTED, str(number)): at(0, 1) for number in range(MOST_SERIES + 7)}
        step = advance({}, points)
        assert len(step.known) == MOST_SERIES
        assert step.dropped == 7

    def test_those_that_were_silent_make_room(self) -> None:
        points = {SeriesKey(Measure.ACCEPTED, str(number)): at(0, 1) for number in range(MOST_SERIES)}
        known = advance({}, points).known
        step = advance(known, {CPU: at(LONGEST_GAP + 1, 1)})
        assert step.dropped == 0
        assert len(step.known) == MOST_SERIES
        assert "cpu:c" in step.known


class TestFlows:
    KEY = FlowKey("receivers", "traces", "otlp/2 b")

    def test_the_second_point_has_a_rate(self) -> None:
        known = advance_flows({}, {self.KEY: Point(100.0, START)})
        assert known == {"receivers traces otlp/2 b": [100.0, START, None]}
        known = advance_flows(known, {self.KEY: Point(700.0, START + 60 * SECOND)})
        assert known["receivers traces otlp/2 b"][2] == 10.0

    def test_after_a_restart_there_is_none(self) -> None:
        known = advance_flows(
            {"receivers traces otlp/2 b": [700.0, START, 10.0]}, {self.KEY: Point(1.0, START + 60 * SECOND)}
        )
        assert known["receivers traces otlp/2 b"] == [1.0, START + 60 * SECOND, None]

    def test_a_late_point_changes_nothing(self) -> None:
        known = {"receivers traces otlp/2 b": [700.0, START, 10.0]}
        assert advance_flows(known, {self.KEY: Point(600.0, START - 60 * SECOND)}) == known

    def test_a_request_without_components_forgets_nothing(self) -> None:
        known = {"receivers traces a": [700.0, START, 10.0]}
        assert advance_flows(known, {}) == known

    def test_components_that_are_gone_are_forgotten(self) -> None:
        known = {"receivers traces gone": [700.0, START, 10.0]}
        late = START + int((LONGEST_GAP + 1) * SECOND)
        assert list(advance_flows(known, {self.KEY: Point(1.0, late)})) == ["receivers traces otlp/2 b"]

    def test_of_too_many_the_largest_stay(self) -> None:
        keys = [FlowKey("receivers", "logs", f"r{number}") for number in range(MOST_SERIES + 20)]
        known = advance_flows({}, {key: Point(0.0, START) for key in keys})
        known = advance_flows(known, {key: Point(number, START + SECOND) for number, key in enumerate(keys)})
        assert len(known) == MOST_SERIES
        assert f"receivers logs r{MOST_SERIES + 19}" in known
        assert max(value[2] or 0.0 for value in known.values()) == MOST_SERIES + 19
