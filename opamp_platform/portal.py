"""The portal's admin site: its names, and the first page."""

from __future__ import annotations

import ipaddress
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.base_admin import with_portal_admin
from accounts.views import ChangePassword, SignIn, SignOut
from agents.event_texts import line_of
from agents.models import Agent, AgentEvent
from agents.reports import Status
from configurations.models import Configuration
from foundation.languages import in_readers_language
from opamp_platform.checklist import checklist, dismiss_checklist
from opamp_platform.operations.capacity import limits_reached
from opamp_platform.operations.certificate import expiring
from opamp_platform.operations.exposure import exposures

# What needs a person first.
_ORDER = (Status.ERROR, Status.CONFIGURING, Status.CONNECTED, Status.DISCONNECTED)
_EVENTS = 12
# Order of the menu's headings, and apps whose models stand under another one's.
_PLACES = {"agents": 0, "configurations": 1, "accounts": 2}
_UNDER = {
    "configurations": "agents",
    "packages": "agents",
    "rollouts": "agents",
    "enrolment": "agents",
    "certificates": "agents",
    "variables": "agents",
    "auth": "accounts",
}
_CONFIGURATIONS = 20
# An entry of the menu that is no list of rows.
SEE_RIGHTS = ("agents.view_agent", "configurations.view_configuration")
_RUNNING = {
    "model": None,
    "name": _("Running configurations"),
    "object_name": "Running",
    "perms": {"view": True},
    "add_url": None,
    "view_only": True,
}


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
        """What people come for stands first; what belongs together has one heading, whichever app it is of."""
        found = {app["app_label"]: app for app in super().get_app_list(request, app_label)}
        for label, heading in _UNDER.items():
            if label in found and heading in found:
                found[heading]["models"] += found.pop(label)["models"]
        if "agents" in found and request.user.has_perms(SEE_RIGHTS):
            found["agents"]["models"].append(_RUNNING | {"admin_url": reverse("admin:agent_groups")})
        return sorted(found.values(), key=lambda app: _PLACES.get(app["app_label"], len(_PLACES)))

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
            path("checklist/dismiss/", self.admin_view(require_POST(dismiss_checklist)), name="dismiss_checklist"),
            path("compare/", self.admin_view(compare_page), name="compare"),
        ]
        return [*own, *super().get_urls()]

    def connect(self, request: HttpRequest) -> HttpResponse:
        """How to connect an agent."""
        # Not above: its package registers an admin here, for which this class must be whole.
        from enrolment.admin.connecting import connect_page

        return connect_page(request, {**self.each_context(request), "title": _("Connect an agent")})

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
        """Counts by status, configurations by outcome, and what happened last; for those who may see agents."""
        context: dict[str, Any] = {**(extra_context or {}), "configurations": None}
        # Under another server than ours the address that was called tells as much as can be known.
        warnings = exposures(settings.SERVED_HOST or _called(request)) + expiring()
        if request.user.has_perm("agents.view_agent"):
            # Not above, as below.
            from enrolment.admin.connecting import connecting

            counts = Agent.objects.count_by_status()
            context |= {
                "statuses": [(status.value, counts[status]) for status in _ORDER],
                "total_agents": counts.total(),
                "drifted_agents": Agent.objects.drifted().count(),
                "lines": [line_of(event) for event in AgentEvent.objects.select_related("agent")[:_EVENTS]],
                "pending_agents": Agent.objects.awaiting_approval().count(),
                **connecting(request),
            }
            warnings += limits_reached(counts.total())
            context["checklist"] = checklist(request)
        context["warnings"] = [in_readers_language(said) for said in warnings]
        if request.user.has_perm("configurations.view_configuration"):
            # Not above: its package registers an admin here, for which this class must be whole.
            from agents.admin.facets import with_last_known

            rows = Configuration.objects.select_related("current").with_outcomes()
            context["configurations"] = with_last_known(rows.order_by("-enabled", "name")[:_CONFIGURATIONS])
        return super().index(request, context)


def _called(request: HttpRequest) -> str:
    """The address of ours that the request was sent to, an empty text when the server does not say it."""
    try:
        return str(ipaddress.ip_address(request.META.get("SERVER_NAME", "")))
    except ValueError:
        return ""
