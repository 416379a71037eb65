"""The portal's admin site: its names, and the first page."""

from __future__ import annotations

import ipaddress
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.base_admin import with_portal_admin
from accounts.views import ChangePassword, SignIn, SignOut
from agents.models import Agent
from foundation.languages import in_readers_language
from foundation.overview import overview_panels
from opamp_platform.checklist import checklist, dismiss_checklist
from opamp_platform.fleet_over_time import fleet_over_time
from opamp_platform.operations.capacity import limits_reached
from opamp_platform.operations.certificate import expiring
from opamp_platform.operations.exposure import exposures
from opamp_platform.task_menu import as_tasks, menu_of


class PortalSite(admin.AdminSite):
    """Django's admin with the portal's name and a dashboard."""

    site_header = _("OpAMP Platform")
    site_title = _("OpAMP Platform")
    index_title = _("Overview")
    site_url = None
    index_template = "admin/dashboard.html"

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Django's, on the portal's base: no list takes lookups that it does not declare, whoever wrote its admin."""
        super().register(model_or_iterable, with_portal_admin(admin_class), **options)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        """By task, whichever app something is of."""
        return as_tasks(request, super().get_app_list(request, app_label))

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """With the menu."""
        context = super().each_context(request)
        return {**context, "menu": menu_of(request, context["available_apps"])}

    def app_index(self, request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None) -> Any:
        """Nothing stands there that the menu has not: to where the task of the app begins. 404 for who sees none of it."""
        for task in self.get_app_list(request, app_label):
            if task["models"][0].get("model") is not None:
                return redirect(task["app_url"])
        raise Http404

    def get_urls(self) -> list[Any]:
        """With the pages about connecting and approving agents and comparing, before what takes any address."""
        # Not above: its package registers an admin here, for which this class must be whole.
        from configurations.admin.adopting_pages import adopt_agent, adopt_group, groups_page
        from configurations.admin.compare import compare_page

        own = [
            path("running/", self.admin_view(groups_page), name="agent_groups"),
            path("running/<slug:key>/adopt/", self.admin_view(adopt_group), name="agent_group_adopt"),
            path("agents/agent/<int:agent_id>/adopt/", self.admin_view(adopt_agent), name="agent_adopt"),
            path("connect/", self.admin_view(self.connect), name="connect"),
            path("agents/agent/<int:pk>/approve/", self.admin_view(self.approve), name="agent_approve"),
            path("agents/agent/<int:pk>/reject/", self.admin_view(self.reject), name="agent_reject"),
            path("agents/agent/prune/", self.admin_view(self.prune), name="agent_prune"),
            path("checklist/dismiss/", self.admin_view(require_POST(dismiss_checklist)), name="dismiss_checklist"),
            path("compare/", self.admin_view(compare_page), name="compare"),
            path("preferences/", self.admin_view(self.preferences), name="preferences"),
        ]
        return [*own, *super().get_urls()]

    def connect(self, request: HttpRequest) -> HttpResponse:
        """How to connect an agent."""
        # Not above: its package registers an admin here, for which this class must be whole.
        from enrolment.admin.connecting import connect_page

        return connect_page(request, {**self.each_context(request), "title": _("Connect an agent")})

    def prune(self, request: HttpRequest) -> HttpResponse:
        """Delete what is kept no longer, now."""
        from agents.admin.pruning_page import prune_page

        return prune_page(request, self.each_context(request))

    def preferences(self, request: HttpRequest) -> HttpResponse:
        """One's own."""
        # Not above, as the others.
        from accounts.admin.preferences_page import preferences_page

        return preferences_page(request, {**self.each_context(request), "title": _("Preferences")})

    def approve(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Let an agent take part that waits for it."""
        from enrolment.admin.approving import approve_page

        return approve_page(self, request, pk)

    def reject(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Refuse it."""
        from enrolment.admin.approving import reject_page

        return reject_page(self, request, pk)

    @method_decorator(never_cache)
    @login_not_required
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The page that asks who it is; who is in already is led on."""
        index = reverse("admin:index", current_app=self.name)
        if request.method == "GET" and self.has_permission(request):
            return redirect(index)
        asked = REDIRECT_FIELD_NAME in request.GET or REDIRECT_FIELD_NAME in request.POST
        context = {
            **self.each_context(request),
            "title": _("Log in"),
            "subtitle": None,
            "app_path": request.get_full_path(),
            "username": request.user.get_username(),
            **({} if asked else {REDIRECT_FIELD_NAME: index}),
            **(extra_context or {}),
        }
        request.current_app = self.name
        return SignIn.as_view(extra_context=context)(request)

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Signed out, nobody has permission any more."""
        context = {**self.each_context(request), "has_permission": False, **(extra_context or {})}
        request.current_app = self.name
        return SignOut.as_view(extra_context=context)(request)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """One's own password."""
        done = reverse("admin:password_change_done", current_app=self.name)
        context = {**self.each_context(request), **(extra_context or {})}
        request.current_app = self.name
        return ChangePassword.as_view(success_url=done, extra_context=context)(request)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Counts by status, what apps show on the overview, and the fleet over time; for those who may see agents."""
        context: dict[str, Any] = {**(extra_context or {})}
        # Under another server than ours the address that was called tells as much as can be known.
        warnings = exposures(settings.SERVED_HOST or _called(request)) + expiring()
        if request.user.has_perm("agents.view_agent"):
            # Not above: packages that register admins here, for which this class must be whole.
            from agents.admin.fleet_overview import ORDER, status_bar
            from enrolment.admin.connecting import connecting

            counts = Agent.objects.count_by_status()
            context |= {
                "statuses": [(status.value, counts[status]) for status in ORDER],
                "bar": status_bar(counts),
                "total_agents": counts.total(),
                "drifted_agents": Agent.objects.drifted().count(),
                "pending_agents": Agent.objects.awaiting_approval().count(),
                "panels": _panels(request),
                **fleet_over_time(request),
                **connecting(request),
            }
            warnings += limits_reached(counts.total())
            context["checklist"] = checklist(request)
        context["warnings"] = [in_readers_language(said) for said in warnings]
        return super().index(request, context)


def _panels(request: HttpRequest) -> list[dict[str, Any]]:
    """Those that have something to show, drawn."""
    drawn = []
    for panel in overview_panels():
        context = panel.context(request)
        if context is not None:
            html = SafeString(render_to_string(panel.template, dict(context), request))
            drawn.append({"name": panel.name, "wide": panel.wide, "html": html})
    return drawn


def _called(request: HttpRequest) -> str:
    """The address of ours that the request was sent to, an empty text when the server does not say it."""
    try:
        return str(ipaddress.ip_address(request.META.get("SERVER_NAME", "")))
    except ValueError:
        return ""
