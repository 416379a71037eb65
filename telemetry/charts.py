"""Numbers as people read them, and lines of them as SVG: no script, no style in the page, colours from the style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from telemetry.measures import MEASURES, Measure
from telemetry.slots import Values

TITLES: dict[Measure, Any] = {
    Measure.CPU: gettext_lazy("CPU (share of a core)"),
    Measure.MEMORY: gettext_lazy("Memory (resident)"),
    Measure.ACCEPTED: gettext_lazy("Accepted by receivers"),
    Measure.REFUSED: gettext_lazy("Refused by receivers"),
    Measure.FAILED: gettext_lazy("Failed to be sent"),
    Measure.QUEUE: gettext_lazy("Fullest sending queue"),
}
_WIDTH, _HEIGHT = 320, 130
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 8, 10, 20
_SPARK_WIDTH, _SPARK_HEIGHT = 72, 18
_NICE = (1.0, 2.0, 5.0, 10.0)

Steps = Sequence[tuple[datetime, Values]]


@dataclass(frozen=True, slots=True)
class Chart:
    """One measure over a time; ``said`` is what it shows, for those who do not see it."""

    title: Any
    svg: SafeString
    said: str


def value_with_unit(measure: Measure, value: float | None) -> str:
    """A value with its unit."""
    if value is None:
        return "–"
    if measure is Measure.MEMORY:
        return str(filesizeformat(value))
    if measure in {Measure.CPU, Measure.QUEUE}:
        return f"{_number(value * 100)} %"
    return _("%(number)s/s") % {"number": _number(value)}


def chart(measure: Measure, steps: Steps, *, format_of_time: str) -> Chart:
    """The line of one measure with its axes; where nothing was measured the line is broken."""
    place = MEASURES.index(measure)
    values = [means[place] for _at, means in steps]
    measured = [value for value in values if value is not None]
    top = _top_of_axis(measure, max(measured, default=0.0))
    title = TITLES[measure]
    said = _("nothing was measured")
    if measured:
        said = _("latest %(latest)s, highest %(highest)s, mean %(mean)s") % {
            "latest": value_with_unit(measure, measured[-1]),
            "highest": value_with_unit(measure, max(measured)),
            "mean": value_with_unit(measure, math.fsum(measured) / len(measured)),
        }
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    lines = _lines(values, top, left=_LEFT, above=_TOP, width=width, height=height)
    across = [(_TOP + height * (1 - share), value_with_unit(measure, top * share)) for share in (0.0, 0.5, 1.0)]
    times = [(_LEFT, "start", steps[0][0]), (_LEFT + width // 2, "middle", steps[len(steps) // 2][0])]
    times.append((_LEFT + width, "end", steps[-1][0]))
    svg = format_html(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}</svg>',
        _WIDTH,
        _HEIGHT,
        f"{title}: {said}",
        format_html_join(
            "",
            '<line class="chart-grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="chart-text" x="{}" y="{}" '
            'text-anchor="end">{}</text>',
            [(_LEFT, _WIDTH - _RIGHT, _round(y), _round(y), _LEFT - 5, _round(y + 3.5), text) for y, text in across],
        ),
        format_html_join(
            "",
            '<text class="chart-text" x="{}" y="{}" text-anchor="{}">{}</text>',
            [(x, _HEIGHT - 5, end, timezone.localtime(at).strftime(format_of_time)) for x, end, at in times],
        ),
        lines,
    )
    return Chart(title, svg, said)


def sparkline(values: Sequence[float | None], *, top: float | None = None) -> SafeString:
    """A line without axes beside a number, which says the same in words."""
    highest = top or max((value for value in values if value is not None), default=0.0) or 1.0
    lines = _lines(values, highest, left=1, above=1, width=_SPARK_WIDTH - 2, height=_SPARK_HEIGHT - 2)
    return format_html(
        '<svg class="spark" viewBox="0 0 {} {}" aria-hidden="true">{}</svg>', _SPARK_WIDTH, _SPARK_HEIGHT, lines
    )


def _lines(values: Sequence[float | None], top: float, *, left: int, above: int, width: int, height: int) -> SafeString:
    """A polyline for each unbroken run; one value alone is a short dash."""
    runs: list[list[tuple[float, float]]] = [[]]
    step = width / max(len(values) - 1, 1)
    for number, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((left + number * step, above + height * (1 - min(value / top, 1.0))))
    texts = []
    for run in filter(None, runs):
        points = run if len(run) > 1 else [(run[0][0] - 1, run[0][1]), (run[0][0] + 1, run[0][1])]
        texts.append((" ".join(f"{_round(x)},{_round(y)}" for x, y in points),))
    return format_html_join("", '<polyline class="chart-line" points="{}"/>', texts)


def _round(number: float) -> str:
    return f"{number:.1f}"


def _top_of_axis(measure: Measure, highest: float) -> float:
    """The next number that reads well; of memory a power of two, of a share at least the whole where it is one."""
    if measure is Measure.QUEUE:
        return 1.0
    if highest <= 0:
        return 1.0
    if measure is Measure.MEMORY:
        return float(2 ** math.ceil(math.log2(highest)))
    unit = 10.0 ** math.floor(math.log10(highest))
    return unit * next((nice for nice in _NICE if nice * unit >= highest), 10.0)


def _number(value: float) -> str:
    """Three digits that count."""
    if not value:
        return "0"
    if value >= 1e9:
        return f"{value:.2e}"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"
