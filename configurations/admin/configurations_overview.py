"""What the overview shows of configurations: how far each is, and why agents are in error, to be offered it once more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse

from agents.admin import error_groups, facets
from agents.models import Agent
from agents.reports import Status
from configurations.models import Configuration
from foundation.overview import OverviewPanel, register_overview_panel

_CONFIGURATIONS = 12


def configurations_panel(request: HttpRequest) -> Mapping[str, Any] | None:
    """The first configurations with their progress, those in force first."""
    if not request.user.has_perm("configurations.view_configuration"):
        return None
    rows = Configuration.objects.select_related("current").with_outcomes().order_by("-enabled", "name")
    return {"configurations": facets.with_last_known(rows[:_CONFIGURATIONS]), "most": _CONFIGURATIONS}


def errors_panel(request: HttpRequest) -> Mapping[str, Any] | None:
    """Agents in error by what they say, each group with the list of exactly those; nothing where there are none."""
    if not request.user.has_perm("agents.view_agent"):
        return None
    found = error_groups.errors_among(Agent.objects.all())
    if not found.groups:
        return None
    page = reverse("admin:agents_agent_changelist")

    def url(text: str) -> str:
        return f"{page}?{urlencode({'status': Status.ERROR.value, error_groups.REASON: text})}"

    return {
        "errors": found,
        "rows": [
            {"text": group.text or error_groups.NO_REASON, "number": group.number, "url": url(group.text)}
            for group in found.groups
        ],
        "may_retry": request.user.has_perms(("agents.change_agent", "configurations.change_configuration")),
    }


def register() -> None:
    """Onto the overview."""
    register_overview_panel(OverviewPanel("errors", "overview/errors.html", errors_panel, rank=10, wide=True))
    register_overview_panel(
        OverviewPanel("configurations", "overview/configurations.html", configurations_panel, rank=20)
    )
