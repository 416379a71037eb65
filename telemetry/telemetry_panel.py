"""The section of an agent's page with what it measured of itself: a day and a week, as lines and as tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from agents.extensions import Panel
from agents.models import Agent
from foundation.clock import clock
from telemetry.charts import TITLES, Chart, chart, value_with_unit
from telemetry.measures import MEASURES
from telemetry.services.series import FRESH, Telemetry, telemetry_of
from telemetry.slots import DAYS


@dataclass(frozen=True, slots=True)
class _Window:
    """``step`` seconds are a point of a line, ``row`` a row of the table."""

    name: str
    title: Any
    length: timedelta
    step: int
    row: int
    format_of_time: str


_WINDOWS = (
    _Window("day", _("24 hours"), timedelta(hours=24), 900, 3_600, "%H:%M"),
    _Window("week", _("7 days"), timedelta(days=DAYS), 3_600, 6 * 3_600, "%m-%d"),
)


def telemetry_section(request: HttpRequest, agent: Agent) -> dict[str, Any]:
    """Three queries, whatever there is."""
    until = clock.now()
    found = telemetry_of([agent.pk], since=until - timedelta(days=DAYS), until=until).get(agent.pk)
    if found is None:
        return {"agent": agent, "latest": None, "is_taken": settings.OPAMP_OWN_TELEMETRY is not False}
    received_at = found.latest.received_at
    return {
        "agent": agent,
        "latest": [(TITLES[each], value_with_unit(each, getattr(found.latest, each.value))) for each in MEASURES],
        "received_at": received_at,
        "fresh": received_at is not None and until - received_at < FRESH,
        "heads": [TITLES[each] for each in MEASURES],
        "windows": [_drawn(found, window, until) for window in _WINDOWS],
    }


def _drawn(telemetry: Telemetry, window: _Window, until: datetime) -> dict[str, Any]:
    since = until - window.length
    steps = telemetry.steps(since, until, window.step)
    charts: list[Chart] = [chart(each, steps, format_of_time=window.format_of_time) for each in MEASURES]
    rows = [
        (at, [value_with_unit(measure, value) for measure, value in zip(MEASURES, means, strict=True)])
        for at, means in reversed(telemetry.steps(since, until, window.row))
        if any(value is not None for value in means)
    ]
    return {"name": window.name, "title": window.title, "charts": charts, "rows": rows}


PANEL = Panel("telemetry", "panels/telemetry.html", telemetry_section, _("Telemetry"), tab="health")
