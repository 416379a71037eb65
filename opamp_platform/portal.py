"""The portal's admin site: its names, and the first page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from agents.models import AgentEvent
from agents.reports import Status
from configurations.models import Configuration
from opamp_platform.metrics import count_by_status


class PortalSite(admin.AdminSite):
    """Django's admin with the portal's name and a dashboard."""

    site_header = _("OpAMP Platform")
    site_title = _("OpAMP Platform")
    index_title = _("Fleet")
    index_template = "admin/dashboard.html"

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Counts by status, configurations by outcome, and what happened last; for those who may see agents."""
        context: dict[str, Any] = dict(extra_context or {})
        if request.user.has_perm("agents.view_agent"):
            counts = count_by_status()
            context |= {
                "statuses": [(status.value, counts[status]) for status in Status],
                "total_agents": sum(counts.values()),
                "events": AgentEvent.objects.select_related("agent")[:10],
                "endpoint": f"{'wss' if request.is_secure() else 'ws'}://{request.get_host()}/v1/opamp",
            }
        if request.user.has_perm("configurations.view_configuration"):
            context["configurations"] = Configuration.objects.annotate(
                assigned=Count("assignments"),
                applied=Count("assignments", filter=Q(assignments__status="applied")),
                failed=Count("assignments", filter=Q(assignments__status="failed")),
            ).order_by("name")[:20]
        return super().index(request, context)
