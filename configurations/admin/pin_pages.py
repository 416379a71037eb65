"""Pinning one agent and unpinning it in the admin, many at once, and the filter for those that are pinned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext_lazy as _

from accounts.base_admin import PortalAdmin
from accounts.models import User
from agents.admin.bulk_actions import BulkAction, register_bulk_action
from agents.admin.facets import AmongFacet, register_facet
from agents.models import Agent
from configurations.models import Configuration, Pin, pinned_keys
from configurations.pins_shown import PIN_RIGHTS, pin_of, pin_words
from configurations.services import pinning
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.languages import in_readers_language
from rollouts.admin.holding_forms import HoldingForm

_LARGEST_ID = 2**63 - 1


class PinForm(HoldingForm):
    """To what, why, and for how long."""

    configuration = forms.ModelChoiceField(
        label=_("Configuration"),
        queryset=Configuration.objects.enabled().wholes().order_by("name"),
        to_field_name="name",
    )
    revision = forms.IntegerField(
        label=_("Revision"),
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        help_text=_("The number of one revision, which then stays; without it the agent follows the configuration."),
    )
    field_order = ("configuration", "revision", "reason", "hours")


@admin.register(Pin)
class PinAdmin(PortalAdmin):
    """The pages that pin one agent and unpin it; pins are listed as agents are, by their filter."""

    list_display = ["agent", "configuration", "reason", "pinned_by_name", "pinned_at", "expires_at"]
    list_display_links = None
    list_select_related = ("agent", "configuration")
    actions = None
    fields = ["agent", "configuration", "reason", "pinned_by_name", "pinned_at", "expires_at"]

    def has_module_permission(self, request: HttpRequest) -> bool:
        """No entry of the menu."""
        return False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Not by a form of rows."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Pin | None = None) -> bool:
        """Not by a form of rows."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Pin | None = None) -> bool:
        """Not as a row: matching follows."""
        return False

    def get_urls(self) -> list[Any]:
        """The two acts."""
        wrapped = self.admin_site.admin_view
        return [
            path("pin/<int:agent_id>/", wrapped(self.pin), name="agent_pin"),
            path("unpin/<int:agent_id>/", wrapped(self.unpin), name="agent_unpin"),
            *super().get_urls(),
        ]

    def pin(self, request: HttpRequest, agent_id: int) -> HttpResponse:
        """GET asks to what, why and how long; POST pins."""
        agent = self._agent(request, agent_id)
        present = pin_of(agent)
        initial = {"configuration": agent.configuration_name, "revision": agent.configuration_revision}
        form = PinForm(request.POST if request.method == "POST" else None, initial=initial)
        if form.is_valid():
            values = form.cleaned_data
            try:
                pinning.pin_agent(
                    agent.pk,
                    configuration=values["configuration"].name,
                    revision=values["revision"],
                    reason=values["reason"],
                    by=cast("User", request.user),
                    at=clock.now(),
                    expires_at=form.expires_at,
                )
            except DomainError as error:
                form.add_error(None, in_readers_language(error))
            else:
                self.message_user(request, _("%(agent)s is pinned.") % {"agent": agent}, messages.SUCCESS)
                return self._to_the_agent(agent)
        text = _("The agent runs this, whatever its labels say, until the pin ends; other agents are not concerned.")
        context = {
            "title": _("Pin %(agent)s?") % {"agent": agent.name_and_host()},
            "form": form,
            "text": text,
            "hint": pin_words(present) if present else "",
            "verb": _("Pin"),
            "waits": True,
        }
        return self._ask(request, agent, context)

    def unpin(self, request: HttpRequest, agent_id: int) -> HttpResponse:
        """GET asks, POST unpins."""
        agent = self._agent(request, agent_id)
        if request.method == "POST":
            try:
                pinning.unpin_agent(agent, by=cast("User", request.user), at=clock.now())
            except DomainError as error:
                self.message_user(request, in_readers_language(error), messages.ERROR)
            else:
                self.message_user(request, _("%(agent)s is unpinned.") % {"agent": agent}, messages.SUCCESS)
            return self._to_the_agent(agent)
        present = pin_of(agent)
        context = {
            "title": _("Unpin %(agent)s?") % {"agent": agent.name_and_host()},
            "text": _("Its labels say again what it should run; that is offered at once."),
            "hint": pin_words(present) if present else "",
            "verb": _("Unpin"),
        }
        return self._ask(request, agent, context)

    def _agent(self, request: HttpRequest, agent_id: int) -> Agent:
        if not request.user.has_perms(PIN_RIGHTS):
            raise PermissionDenied
        return get_object_or_404(Agent, pk=min(agent_id, _LARGEST_ID))

    def _ask(self, request: HttpRequest, agent: Agent, context: dict[str, Any]) -> HttpResponse:
        page = reverse("admin:agents_agent_change", args=[agent.pk])
        whole = {**self.admin_site.each_context(request), "opts": agent._meta, "agent": agent, "page": page, **context}
        return TemplateResponse(request, "admin/agents/agent/ask.html", whole)

    def _to_the_agent(self, agent: Agent) -> HttpResponse:
        return redirect(reverse("admin:agents_agent_change", args=[agent.pk]))


class PinnedFacet(AmongFacet):
    """Pinned or not."""

    title = _("pinned")
    parameter_name = "pinned"
    asked_as = "pinned"

    def keys(self) -> QuerySet[Any]:
        """The pinned ones."""
        return pinned_keys()


def unpin(agent_ids: Sequence[int], by: User, at: datetime, _values: Mapping[str, Any]) -> int:
    """Have labels say again what each runs; returns how many were pinned."""
    return pinning.unpin_agents(agent_ids, by=by, at=at).asked


def register() -> None:
    """Into the menu and the filters of the list of agents."""
    register_facet(PinnedFacet)
    register_bulk_action(
        BulkAction(
            name="unpin",
            label=_("Unpin"),
            permission="agents.change_agent",
            run=unpin,
            done=_("Agents unpinned: %(count)d."),
            eligible=Q(pk__in=pinned_keys()),
            skipped=_("it is not pinned"),
            offline=_("Those offline get what their labels say when they connect."),
        )
    )
