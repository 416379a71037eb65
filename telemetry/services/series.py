"""Reads what agents sent of themselves: the latest values, and series of a time in steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.db.models import Exists, OuterRef, QuerySet

from telemetry.models import LatestTelemetry, TelemetryDay
from telemetry.slots import DAYS, Day, OpenSlot, Values, days_between, spread

FRESH = timedelta(minutes=15)
"""Older values are those of an agent that has stopped sending."""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What an agent sent: ``latest`` is its row, ``days`` what its slots say, the one that is not over included."""

    latest: LatestTelemetry
    days: dict[date, Day]

    def steps(self, since: datetime, until: datetime, step: int) -> list[tuple[datetime, Values]]:
        """The means of each ``step`` seconds."""
        return spread(self.days, since, until, step)


def telemetry_of(agent_ids: Sequence[int], *, since: datetime, until: datetime) -> dict[int, Telemetry]:
    """By agent, of those that ever sent something; two queries for all of them."""
    rows = LatestTelemetry.objects.filter(pk__in=agent_ids, received_at__isnull=False).defer("counters", "flows")
    found = {row.pk: Telemetry(row, {}) for row in rows}
    if not found:
        return found
    for stored in TelemetryDay.objects.filter(latest__in=found, day__in=days_between(since, until)):
        found[stored.latest_id].days[stored.day] = Day(stored.slots)
    for telemetry in found.values():
        row = telemetry.latest
        if row.slot_at is not None and row.slot:
            day = telemetry.days.setdefault(row.slot_at.astimezone(UTC).date(), Day())
            day.put(row.slot_at, OpenSlot(row.slot).means())
    return found


def component_flows(agent_id: int, at: datetime) -> dict[tuple[str, str, str], float]:
    """What the components of an agent's pipelines pass on a second, by role, signal and component; empty when it is not fresh."""
    row = LatestTelemetry.objects.filter(pk=agent_id, received_at__gte=at - FRESH).only("flows").first()
    if row is None:
        return {}
    found = {}
    for name, (_value, _at, rate) in row.flows.items():
        role, signal, component = name.split(" ", 2)
        if rate is not None:
            found[role, signal, component] = rate
    return found


def overdue_days(at: datetime) -> QuerySet[TelemetryDay]:
    """Days that are kept no longer."""
    return TelemetryDay.objects.filter(day__lt=_first_kept(at))


def overdue_latest(at: datetime) -> QuerySet[LatestTelemetry]:
    """Latest values of agents that have been silent for as long as days are kept, once no day is left."""
    days = TelemetryDay.objects.filter(latest=OuterRef("pk"))
    return LatestTelemetry.objects.filter(~Exists(days), received_at__lt=at - timedelta(days=DAYS + 1))


def keys_with_telemetry() -> QuerySet[LatestTelemetry, int]:
    """The keys of the agents that sent something within the time that is kept."""
    return LatestTelemetry.objects.filter(received_at__isnull=False).values_list("pk", flat=True)


def _first_kept(at: datetime) -> date:
    return at.astimezone(UTC).date() - timedelta(days=DAYS)
