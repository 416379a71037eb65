"""From sums since an agent's start to rates: what happened between two points of each series. Pure.

Times are the agent's own, in nanoseconds, and only differences of them count: where its clock stands does not matter. Points
come late, twice and out of order, agents restart and their clocks are set; each costs a rate at most, and none makes a wrong one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from telemetry.measures import Measure

_SECOND = 1_000_000_000
# Points further apart are no rate: the agent was silent, or its clock was set (seconds). Collectors send every minute.
LONGEST_GAP = 900.0
# Points closer together are the same one, sent twice.
SHORTEST_GAP = 1.0
# Series of one agent that are remembered: receivers and exporters, by signal.
MOST_SERIES = 128


class Point(NamedTuple):
    """A sum since ``start`` as it was ``at`` some time (nanoseconds, both); ``start`` may be 0, for unknown."""

    value: float
    at: int
    start: int = 0


class SeriesKey(NamedTuple):
    """One counter of an agent: ``name`` is short, and tells attributes apart."""

    measure: Measure
    name: str


class FlowKey(NamedTuple):
    """What a component passes on of one signal. ``role``: ``receivers`` or ``exporters``, as a configuration calls them."""

    role: str
    signal: str
    component: str


class Rate(NamedTuple):
    """So many a second, on average over ``seconds``."""

    value: float
    seconds: float


Known = dict[str, list[float]]
"""The last point of each series as JSON keeps it: value and time, by ``measure:name``."""


Flows = dict[str, list[float | None]]
"""The last point of each flow as JSON keeps it: value, time, and the rate a second, by ``role signal component``."""


class Advance(NamedTuple):
    """What points brought: the series as they are ``known`` now, the rates, and how many points there was no room for.

    A measure without a rate begins anew, after a restart or a silence; one that was not spoken of is not in ``rates``.
    """

    known: Known
    rates: dict[Measure, Rate | None]
    dropped: int


def advance(known: Mapping[str, list[float]], points: Mapping[SeriesKey, Point]) -> Advance:
    """Take ``points``, one for each series, after what is ``known``.

    A series that appears while others of the agent go on counts from zero: counters are made when there is something to
    count, as the first failure is. When none goes on, what it counted before is nobody's rate.
    """
    kept: Known = {key: list(value) for key, value in known.items()}
    steps = {key: _step(kept.get(f"{key.measure}:{key.name}"), point) for key, point in points.items()}
    elapsed = max((step.seconds for step in steps.values() if step.goes_on), default=0.0)
    rates: dict[Measure, Rate | None] = {}
    dropped = 0
    for key, point in points.items():
        step, name = steps[key], f"{key.measure}:{key.name}"
        if step.is_old:
            continue
        if name not in kept and len(kept) >= MOST_SERIES and not _forget_oldest(kept, point.at):
            dropped += 1
            continue
        kept[name] = [point.value, point.at]
        if step.goes_on:
            _add(rates, key.measure, step.amount / step.seconds, step.seconds)
        elif step.is_new and elapsed:
            _add(rates, key.measure, point.value / elapsed, elapsed)
        else:
            rates.setdefault(key.measure, None)
    return Advance(kept, rates, dropped)


def advance_flows(known: Mapping[str, list[float | None]], points: Mapping[FlowKey, Point]) -> Flows:
    """Take ``points`` after what is ``known``; those of components that nobody spoke of for as long as a silence lasts are gone.

    The largest ones stay where there are more than `MOST_SERIES`.
    """
    if not points:
        return dict(known)
    newest = max(point.at for point in points.values())
    kept: Flows = {
        name: list(value) for name, value in known.items() if abs(newest - (value[1] or 0)) <= LONGEST_GAP * _SECOND
    }
    for key, point in points.items():
        name = " ".join(key)
        before = kept.get(name)
        step = _step(None if before is None else [before[0] or 0.0, before[1] or 0.0], point)
        if not step.is_old:
            kept[name] = [point.value, point.at, step.amount / step.seconds if step.goes_on else None]
    largest = sorted(kept, key=lambda name: (-(kept[name][2] or 0.0), name))[:MOST_SERIES]
    return {name: kept[name] for name in largest}


class _Step(NamedTuple):
    amount: float = 0.0
    seconds: float = 0.0
    is_new: bool = False
    is_old: bool = False

    @property
    def goes_on(self) -> bool:
        return self.seconds > 0


def _step(before: list[float] | None, point: Point) -> _Step:
    """From the point ``before``; neither new, old nor going on is one that begins anew."""
    if before is None:
        return _Step(is_new=True)
    value, at = before[0], int(before[1])
    seconds = (point.at - at) / _SECOND
    if seconds < SHORTEST_GAP:
        # Late or twice; further back the clock was set.
        return _Step(is_old=seconds > -LONGEST_GAP)
    # A start that lies ahead is one of before the clock was set back.
    if seconds > LONGEST_GAP or point.value < value or at < point.start <= point.at:
        return _Step()
    return _Step(point.value - value, seconds)


def _add(rates: dict[Measure, Rate | None], measure: Measure, value: float, seconds: float) -> None:
    before = rates.get(measure)
    rates[measure] = Rate(value + (before.value if before else 0.0), max(seconds, before.seconds if before else 0.0))


def _forget_oldest(kept: Known, at: int) -> bool:
    """Make room where a series was silent for so long that its next point would begin anew."""
    oldest = min(kept, key=lambda name: kept[name][1])
    if at - kept[oldest][1] <= LONGEST_GAP * _SECOND:
        return False
    del kept[oldest]
    return True
