"""Approving and rejecting agents: from the list, and from the page of one; the filters for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from agents.admin.bulk_actions import BulkAction, register_bulk_action
from agents.admin.facets import Facet, register_facet
from agents.models import Agent, Approval
from enrolment.services import approval
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.languages import in_readers_language

_LARGEST_ID = 2**63 - 1


class ApprovalFacet(Facet):
    """By whether somebody let them in; without counts."""

    title = _("approval")
    parameter_name = "approval"
    asked_as = "approval"
    words = dict(Approval.choices)

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Without counts."""
        return ({**row, "count": None} for row in super().choices(changelist))


class TokenFacet(Facet):
    """By the enrolment token they came by; offered on the token's page, and here only to be taken back."""

    title = _("enrolment token")
    parameter_name = "enrolled_by"
    asked_as = "token"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The one chosen."""
        chosen = request.GET.get(str(self.parameter_name))
        return [(chosen, chosen)] if chosen else []

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Without counts."""
        return ({**row, "count": None} for row in super().choices(changelist))


def approve_chosen(agent_ids: Sequence[int], by: User, at: datetime, _values: Mapping[str, Any]) -> int:
    """Let them take part."""
    return approval.approve_agents(agent_ids, by=by, at=at)


def reject_chosen(agent_ids: Sequence[int], by: User, at: datetime, _values: Mapping[str, Any]) -> int:
    """Refuse them."""
    return approval.reject_agents(agent_ids, by=by, at=at)


def approve_page(site: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """GET asks, POST approves."""
    text = _("What waits for the agent is offered to it at once: its configuration, and a credential of its own.")
    return _decide(site, request, pk, approval.approve_agent, _("Approve %(agent)s?"), text, _("Approve"))


def reject_page(site: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """GET asks, POST rejects."""
    text = _("The agent is disconnected at once and may not come back, whatever it shows, until it is approved.")
    return _decide(site, request, pk, approval.reject_agent, _("Reject %(agent)s?"), text, _("Reject"))


def _decide(
    site: Any, request: HttpRequest, pk: int, act: Callable[..., None], title: Any, text: Any, verb: Any
) -> HttpResponse:
    if not request.user.has_perm("agents.change_agent"):
        raise PermissionDenied
    agent = get_object_or_404(Agent, pk=min(pk, _LARGEST_ID))
    page = reverse("admin:agents_agent_change", args=[agent.pk])
    if request.method == "POST":
        try:
            act(agent, by=cast("User", request.user), at=clock.now())
        except DomainError as error:
            messages.error(request, in_readers_language(error))
        else:
            messages.success(request, _("Done: %(what)s") % {"what": f"{verb}, {agent.name_and_host()}"})
        return redirect(page)
    context = {
        **site.each_context(request),
        "opts": agent._meta,
        "title": title % {"agent": agent.name_and_host()},
        "agent": agent,
        "text": text,
        "verb": verb,
        "page": page,
    }
    return TemplateResponse(request, "admin/agents/agent/ask.html", context)


def register() -> None:
    """Into the menu and the filters of the list of agents."""
    register_facet(ApprovalFacet)
    register_facet(TokenFacet)
    register_bulk_action(
        BulkAction(
            name="approve",
            label=_("Approve"),
            permission="agents.change_agent",
            run=approve_chosen,
            done=_("Agents approved: %(count)d."),
            eligible=~Q(approval=Approval.APPROVED),
            skipped=_("it is approved already"),
            offline=_("Those offline get what waits for them when they connect."),
        )
    )
    register_bulk_action(
        BulkAction(
            name="reject",
            label=_("Reject"),
            permission="agents.change_agent",
            run=reject_chosen,
            done=_("Agents rejected: %(count)d."),
            eligible=Q(approval=Approval.PENDING),
            skipped=_("it does not wait for approval"),
            danger=True,
        )
    )
