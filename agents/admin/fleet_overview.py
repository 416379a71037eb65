"""What the overview shows of agents: how many of which status, their versions, and what happened last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from agents.admin.facets import groups
from agents.event_texts import line_of
from agents.models import AgentEvent
from agents.reports import Status
from agents.services.fleet_versions import fleet_versions
from foundation.overview import OverviewPanel, register_overview_panel

# What needs a person first.
ORDER = (Status.ERROR, Status.CONFIGURING, Status.CONNECTED, Status.DISCONNECTED)
_BAR = 1_000
_VERSIONS = 8
_EVENTS = 8


def status_bar(counts: Mapping[Status, int]) -> list[dict[str, Any]]:
    """The segments of one bar, 1,000 wide; even a single agent can be seen."""
    some = [(status, counts[status]) for status in ORDER if counts[status]]
    total = sum(number for _status, number in some)
    widths = [max(round(_BAR * number / total), 6) for _status, number in some]
    scale = _BAR / sum(widths) if widths else 1.0
    segments, begin = [], 0.0
    for (status, number), width in zip(some, widths, strict=True):
        segments.append({"status": status.value, "number": number, "x": round(begin), "width": round(width * scale)})
        begin += width * scale
    return segments


def versions_panel(request: HttpRequest) -> Mapping[str, Any] | None:
    """The versions of the fleet, the newest first, how far each is behind, and for how long."""
    if not request.user.has_perm("agents.view_agent"):
        return None
    counts: Counter[str] = Counter()
    for group in groups():
        counts[group.values["version"]] += group.number
    rows = fleet_versions(counts)
    return (
        {"versions": rows[:_VERSIONS], "more": max(len(rows) - _VERSIONS, 0), "total": counts.total()} if rows else None
    )


def events_panel(request: HttpRequest) -> Mapping[str, Any] | None:
    """What happened last."""
    if not request.user.has_perm("agents.view_agent"):
        return None
    lines = [line_of(event) for event in AgentEvent.objects.select_related("agent")[:_EVENTS]]
    return {"lines": lines} if lines else None


def register() -> None:
    """Onto the overview."""
    register_overview_panel(OverviewPanel("versions", "overview/versions.html", versions_panel, rank=30))
    register_overview_panel(OverviewPanel("events", "overview/events.html", events_panel, rank=60, wide=True))
