"""What the overview shows of the last day: what failed, on how many agents and why, each number with the list of exactly those."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse

from agents.models import AgentEvent
from agents.recent_failures import Failures, failures_of_the_day
from agents.reports import Status
from foundation.clock import clock
from foundation.overview import OverviewPanel, register_overview_panel

# What took long to count is kept for so many times as long.
_KEEP_FACTOR = 20
_FREE_SECONDS = 0.05
_kept: tuple[float, Failures] | None = None
_KINDS = {kind.value: kind.label for kind in AgentEvent.Kind}


def failures_panel(request: HttpRequest) -> Mapping[str, Any] | None:
    """Failures by reason; those that still are in error can be offered their configuration once more."""
    if not request.user.has_perm("agents.view_agent"):
        return None
    found = _counted()
    page = reverse("admin:agents_agent_changelist")

    def url(query: str) -> str:
        return f"{page}?{urlencode({'q': query})}"

    return {
        "failures": found,
        "all_url": url("failed:today"),
        "rows": [
            {
                "text": _KINDS.get(group.reason, group.reason),
                "number": group.agents,
                "url": url(group.query),
                "in_error": group.in_error,
                "in_error_url": url(f"{group.query} status:{Status.ERROR.value}"),
            }
            for group in found.groups
        ],
        "may_retry": request.user.has_perms(("agents.change_agent", "configurations.change_configuration")),
    }


def _counted() -> Failures:
    global _kept  # noqa: PLW0603  replaced whole
    began = time.monotonic()
    if _kept is not None and began < _kept[0]:
        return _kept[1]
    found = failures_of_the_day(clock.now())
    done = time.monotonic()
    cost = done - began
    _kept = (done + _KEEP_FACTOR * cost, found) if cost > _FREE_SECONDS else None
    return found


def register() -> None:
    """Onto the overview."""
    register_overview_panel(OverviewPanel("failures", "overview/failures.html", failures_panel, rank=12, wide=True))
