"""What people are shown of freezes and pauses: words, marks in lists, the head of an agent's page. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.extensions import Mark, PagePart
from agents.models import Agent
from foundation.clock import clock
from foundation.languages import in_readers_language
from rollouts.audiences import Audience, Matching
from rollouts.models import Freeze
from rollouts.services import freezing
from rollouts.services.freezing import ActiveFreeze


def time_words(at: datetime) -> str:
    """A time in the reader's language and the portal's zone."""
    return date_format(localtime(at), "DATETIME_FORMAT")


def audience_words(audience: Audience) -> str:
    """Whom a freeze holds, in the reader's language."""
    if isinstance(audience, Matching):
        return in_readers_language(audience.selector.words)
    return _("the whole fleet")


def held_words(freeze: ActiveFreeze) -> str:
    """What holds an agent back, by whom, why and until when, in the reader's language."""
    said = {"by": freeze.by, "reason": freeze.reason, "since": time_words(freeze.since)}
    if freeze.agent_id is not None:
        text = _("Paused by %(by)s since %(since)s: %(reason)s") % said
    else:
        text = _("Frozen by %(by)s since %(since)s: %(reason)s") % said
    return f"{text} {end_words(freeze.expires_at)}".strip()


def end_words(at: datetime | None) -> str:
    """Until when, in the reader's language; empty without an end."""
    return _("(until %(until)s)") % {"until": time_words(at)} if at else ""


def pause_marks(agent_ids: Sequence[int]) -> Mapping[int, Mark]:
    """*Paused*, with the reason, for lists."""
    rows = Freeze.objects.active().filter(agent__in=agent_ids).values_list("agent_id", "reason")
    return {key: Mark(gettext_lazy("paused"), reason) for key, reason in rows if key is not None}


def pause_heading(request: HttpRequest, agent: Agent) -> PagePart:
    """Why nothing is offered to the agent, and the way to pause it or to go on."""
    held = freezing.holding(agent, clock.now())
    notes = [_("Nothing is offered to this agent. %(why)s") % {"why": held_words(held)}] if held else []
    tools: list[tuple[str, Any]] = []
    if request.user.has_perm("agents.change_agent"):
        if held is not None and held.agent_id is not None:
            tools.append((reverse("admin:agent_resume", args=[agent.pk]), _("End the pause…")))
        else:
            tools.append((reverse("admin:agent_pause", args=[agent.pk]), _("Pause…")))
    return PagePart(notes, tools)
