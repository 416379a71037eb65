"""Counts of the fleet over time: written each minute, thinned out as they age, so that there are never many rows.

Two processes that both lead write the same slots: whoever is second changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from django.db.models import Avg, Count, Max

from agents.models import Agent, FleetSample
from agents.reports import FACT_NAMES, Facts

COUNTS = ("total", "connected", "healthy", "unhealthy", "in_sync", "failed")
SAMPLE_SECONDS = 60
# A chart asks for its time a moment after the page that holds it was made; what a step keeps reaches back that far as well.
_MOMENT = timedelta(minutes=10)
# As many slots of a coarser step as one run makes up for: what a night without a portal leaves has no samples anyway.
_MOST_SLOTS = 200


class SampleStep(NamedTuple):
    """Slots of so many seconds, kept for so long."""

    seconds: int
    kept: timedelta


STEPS = (
    SampleStep(SAMPLE_SECONDS, timedelta(days=1)),
    SampleStep(900, timedelta(days=30)),
    SampleStep(21_600, timedelta(days=366)),
)
LONGEST = STEPS[-1].kept


def sample_fleet(at: datetime) -> None:
    """Count the fleet now, make the slots of coarser steps that are complete, and delete what is older than its step is kept."""
    FleetSample.objects.bulk_create(
        [FleetSample(step=SAMPLE_SECONDS, at=_slot(at, SAMPLE_SECONDS), **_counted())], ignore_conflicts=True
    )
    for finer, coarser in pairwise(STEPS):
        _thin_out(finer, coarser, at)
    for step in STEPS:
        FleetSample.objects.filter(step=step.seconds, at__lt=at - step.kept).delete()


def step_for(span: timedelta) -> SampleStep:
    """The finest step that reaches back so far, give or take some minutes; the coarsest for what is longer than all."""
    return next((step for step in STEPS if step.kept + _MOMENT >= span), STEPS[-1])


def samples_since(since: datetime, until: datetime) -> tuple[int, Sequence[FleetSample]]:
    """The seconds of a slot, and the samples of that time, oldest first."""
    step = step_for(until - since)
    rows = FleetSample.objects.filter(step=step.seconds, at__gte=since, at__lt=until).order_by("at")
    return step.seconds, list(rows)


def _counted() -> dict[str, int]:
    counts = dict.fromkeys(COUNTS, 0)
    # As `count_by_status` asks it: answered by the index over the facts.
    for *values, number in Agent.objects.order_by().values_list(*FACT_NAMES).annotate(number=Count("*")):
        facts = Facts(*values)
        counts["total"] += number
        if not facts.connected:
            continue
        counts["connected"] += number
        counts["healthy"] += number if facts.healthy else 0
        counts["unhealthy"] += number if facts.healthy is False else 0
        counts["in_sync"] += number if facts.in_sync else 0
        counts["failed"] += number if facts.config_failed else 0
    return counts


def _thin_out(finer: SampleStep, coarser: SampleStep, at: datetime) -> None:
    """Means of the complete slots of ``coarser`` that are not written yet and that ``finer`` still has samples of."""
    end = _slot(at, coarser.seconds)
    newest = FleetSample.objects.filter(step=coarser.seconds, at__lt=end).aggregate(newest=Max("at"))["newest"]
    length = timedelta(seconds=coarser.seconds)
    begin = _slot(at - finer.kept, coarser.seconds) if newest is None else newest + length
    rows = FleetSample.objects.filter(step=finer.seconds)
    first = rows.filter(at__gte=begin, at__lt=end).order_by("at").values_list("at", flat=True).first()
    found: list[FleetSample] = []
    slot = end if first is None else _slot(first, coarser.seconds)
    while slot < end and len(found) < _MOST_SLOTS:
        means = rows.filter(at__gte=slot, at__lt=slot + length).aggregate(**{name: Avg(name) for name in COUNTS})
        if means["total"] is not None:
            found.append(
                FleetSample(step=coarser.seconds, at=slot, **{name: round(value) for name, value in means.items()})
            )
        slot += length
    FleetSample.objects.bulk_create(found, ignore_conflicts=True)


def _slot(at: datetime, seconds: int) -> datetime:
    whole = int(at.timestamp())
    return datetime.fromtimestamp(whole - whole % seconds, UTC)
