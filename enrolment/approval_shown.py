"""What people are shown of enrolment at the head of an agent's page. Reads only."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from agents.extensions import Act, PagePart
from agents.models import Agent, Approval


def approval_heading(request: HttpRequest, agent: Agent) -> PagePart:
    """How the agent came, what it waits for, and the way to decide."""
    notes: list[Any] = []
    tools: list[tuple[str, Any]] = []
    decides = request.user.has_perm("agents.change_agent")
    if agent.approval == Approval.PENDING:
        notes.append(_("This agent awaits approval: nothing is offered to it until then."))
    elif agent.approval == Approval.REJECTED:
        notes.append(_("This agent was rejected and may not connect."))
    if agent.enrolled_by:
        notes.append(_("It came by the enrolment token %(token)s.") % {"token": agent.enrolled_by})
    approves = decides and agent.approval != Approval.APPROVED
    primary = Act(reverse("admin:agent_approve", args=[agent.pk]), _("Approve…")) if approves else None
    if decides and agent.approval == Approval.PENDING:
        tools.append((reverse("admin:agent_reject", args=[agent.pk]), _("Reject…")))
    return PagePart(notes, tools, primary)
