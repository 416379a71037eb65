"""What the overview shows of agents: how many of which status, their versions, and what went wrong lately."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.http import HttpRequest

from agents.admin.facets import groups
from agents.event_texts import line_of
from agents.models import AgentEvent
from agents.reports import Status
from agents.selectors.versions import version_key
from foundation.clock import clock
from foundation.overview import OverviewPanel, register_overview_panel

# What needs a person first.
ORDER = (Status.ERROR, Status.CONFIGURING, Status.CONNECTED, Status.DISCONNECTED)
_BAR = 1_000
_VERSIONS = 8
_EVENTS = 8
_FAILURES = 8
_DAY = timedelta(days=1)
# Of a large fleet a day has more events than a page should look through.
_LOOKED_THROUGH = 20_000
_BAD = (AgentEvent.Kind.FAILED, AgentEvent.Kind.ROLLED_BACK, AgentEvent.Kind.REFUSED, AgentEvent.Kind.NOT_STORED)


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
    """The versions of the fleet, the newest first, and how far each is behind it."""
    if not request.user.has_perm("agents.view_agent"):
        return None
    counts: Counter[str] = Counter()
    for group in groups():
        counts[group.values["version"]] += group.number
    numbered = [(key, version) for version in counts if (key := version_key(version)) is not None]
    ordered = [version for _key, version in sorted(numbered, reverse=True)]
    behind = {version: place for place, version in enumerate(ordered)}
    rows = [
        {"version": version, "number": counts[version], "behind": behind.get(version)}
        for version in [*ordered, *(version for version in counts if version not in behind)]
    ]
    return (
        {"versions": rows[:_VERSIONS], "more": max(len(rows) - _VERSIONS, 0), "total": counts.total()} if rows else None
    )


def failures_panel(request: HttpRequest) -> Mapping[str, Any] | None:
    """The newest failures of a day, among the newest events."""
    if not request.user.has_perm("agents.view_agent"):
        return None
    newest = AgentEvent.objects.order_by("-id").values("pk")[:_LOOKED_THROUGH]
    bad = AgentEvent.objects.filter(pk__in=newest, kind__in=_BAD, at__gte=clock.now() - _DAY)
    return {"lines": [line_of(event) for event in bad.select_related("agent").order_by("-id")[:_FAILURES]]}


def events_panel(request: HttpRequest) -> Mapping[str, Any] | None:
    """What happened last."""
    if not request.user.has_perm("agents.view_agent"):
        return None
    lines = [line_of(event) for event in AgentEvent.objects.select_related("agent")[:_EVENTS]]
    return {"lines": lines} if lines else None


def register() -> None:
    """Onto the overview."""
    register_overview_panel(OverviewPanel("versions", "overview/versions.html", versions_panel, rank=30))
    register_overview_panel(OverviewPanel("failures", "overview/failures.html", failures_panel, rank=40))
    register_overview_panel(OverviewPanel("events", "overview/events.html", events_panel, rank=60))
