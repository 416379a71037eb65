"""The page that says what would be pruned, and has it done as a job."""

from __future__ import annotations

from typing import Any, cast

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from agents.services import retention
from agents.services.pruning import RIGHT, start_pruning
from foundation.clock import clock

# What the command calls the kinds of rows, in words of the portal.
_WORDS = {
    "events": gettext_lazy("events"),
    "connections": gettext_lazy("connections"),
    "commands": gettext_lazy("commands"),
    "agents": gettext_lazy("agents"),
    "documents": gettext_lazy("documents"),
    "job results": gettext_lazy("job results"),
    "jobs": gettext_lazy("jobs"),
    "tasks": gettext_lazy("tasks"),
    "rollouts": gettext_lazy("rollouts"),
    "freezes": gettext_lazy("freezes"),
    "telemetry": gettext_lazy("telemetry"),
    "latest telemetry": gettext_lazy("latest telemetry"),
    "drafts": gettext_lazy("drafts"),
    "deleted configurations": gettext_lazy("deleted configurations"),
    "releases": gettext_lazy("releases"),
    "alerts": gettext_lazy("alerts"),
    "silences": gettext_lazy("silences"),
}


def prune_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """GET counts, POST starts the job and leads to its page."""
    if not request.user.has_perm(RIGHT):
        raise PermissionDenied
    if request.method == "POST":
        return redirect("admin:jobs_job_change", start_pruning(cast("User", request.user)).pk)
    at = clock.now()
    overdue = [
        (_WORDS.get(kind.value, kind.value), retention.count_overdue(kind, at=at)) for kind in retention.pruned_kinds()
    ]
    shown = {"title": _("Prune now?"), "overdue": overdue, "total": sum(count for _kind, count in overdue)}
    return TemplateResponse(request, "admin/agents/prune.html", {**context, **shown})
