"""The fleet over time, on the overview: a chart that a script draws, and the same as a table."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from agents.services.fleet_samples import COUNTS, samples_since
from foundation.clock import clock

_SPANS = {
    "24h": (_("24 hours"), timedelta(days=1)),
    "7d": (_("7 days"), timedelta(days=7)),
    "30d": (_("30 days"), timedelta(days=30)),
    "1y": (_("1 year"), timedelta(days=366)),
}
_ROWS = 24
HEADS = {
    "total": _("Agents"),
    "connected": _("Connected"),
    "healthy": _("Healthy"),
    "unhealthy": _("Unhealthy"),
    "in_sync": _("In sync"),
    "failed": _("Configuration failed"),
}


def fleet_over_time(request: HttpRequest) -> dict[str, Any]:
    """The context of the section: the spans to choose from, and some of the samples of the chosen one, newest first."""
    chosen = request.GET.get("history", "")
    chosen = chosen if chosen in _SPANS else "24h"
    until = clock.now()
    since = until - _SPANS[chosen][1]
    _seconds, samples = samples_since(since, until)
    every = max(-(-len(samples) // _ROWS), 1)
    return {
        "spans": [{"name": name, "title": title, "current": name == chosen} for name, (title, _span) in _SPANS.items()],
        "history_url": reverse("agents-history"),
        "history_since": since.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "history_heads": list(HEADS.values()),
        "history_names": [{"name": name, "title": HEADS[name]} for name in COUNTS],
        "history_rows": [(row.at, [getattr(row, name) for name in COUNTS]) for row in samples[::-1][::every]],
    }
