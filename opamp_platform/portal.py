"""The portal's admin site: its names, and the first page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from accounts.base_admin import with_portal_admin
from agents.models import AgentEvent
from agents.reports import Status
from agents.sentences import line_of
from configurations.models import Configuration
from opamp_platform.metrics import count_by_status

# What needs a person first.
_ORDER = (Status.ERROR, Status.CONFIGURING, Status.CONNECTED, Status.DISCONNECTED)
_EVENTS = 12
_CONFIGURATIONS = 20


class PortalSite(admin.AdminSite):
    """Django's admin with the portal's name and a dashboard."""

    site_header = _("OpAMP Platform")
    site_title = _("OpAMP Platform")
    index_title = _("Fleet")
    site_url = None
    index_template = "admin/dashboard.html"

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Django's, on the portal's base: no list takes lookups that it does not declare, whoever wrote its admin."""
        super().register(model_or_iterable, with_portal_admin(admin_class), **options)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        """What people come for stands first."""
        places = {label: place for place, label in enumerate(("agents", "configurations"))}
        return sorted(
            super().get_app_list(request, app_label), key=lambda app: places.get(app["app_label"], len(places))
        )

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Counts by status, configurations by outcome, and what happened last; for those who may see agents."""
        context: dict[str, Any] = {**(extra_context or {}), "configurations": None}
        if request.user.has_perm("agents.view_agent"):
            counts = count_by_status()
            context |= {
                "statuses": [(status.value, counts[status]) for status in _ORDER],
                "total_agents": sum(counts.values()),
                "lines": [line_of(event) for event in AgentEvent.objects.select_related("agent")[:_EVENTS]],
                "endpoint": f"{'wss' if request.is_secure() else 'ws'}://{request.get_host()}/v1/opamp",
            }
        if request.user.has_perm("configurations.view_configuration"):
            # Not above: its package registers an admin here, for which this class must be whole.
            from agents.admin.facets import with_last_known

            rows = Configuration.objects.select_related("current").with_outcomes()
            context["configurations"] = with_last_known(rows.order_by("-enabled", "name")[:_CONFIGURATIONS])
        return super().index(request, context)
