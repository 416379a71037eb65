"""The page that says what would be pruned, and has it done as a job."""

from __future__ import annotations

from typing import Any, cast

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from accounts.models import User
from agents.services import retention
from agents.services.pruning import RIGHT, start_pruning
from foundation.clock import clock


def prune_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """GET counts, POST starts the job and leads to its page."""
    if not request.user.has_perm(RIGHT):
        raise PermissionDenied
    if request.method == "POST":
        return redirect("admin:jobs_job_change", start_pruning(cast("User", request.user)).pk)
    at = clock.now()
    overdue = [(kind.value, retention.count_overdue(kind, at=at)) for kind in retention.pruned_kinds()]
    shown = {"title": _("Prune now?"), "overdue": overdue, "total": sum(count for _kind, count in overdue)}
    return TemplateResponse(request, "admin/agents/prune.html", {**context, **shown})
