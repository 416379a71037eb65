"""What people are shown of pins: marks in lists, and the head of an agent's page. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.extensions import Mark, PagePart
from agents.models import Agent
from configurations.models import Configuration, Pin
from rollouts.freezes_shown import end_words, time_words

# Of a configuration's pinned agents so many are shown.
_MOST = 50
# As over REST.
PIN_RIGHTS = ("agents.change_agent", "configurations.view_configuration")


def pin_of(agent: Agent) -> Pin | None:
    """The agent's pin."""
    return Pin.objects.filter(agent=agent).select_related("configuration", "revision").defer("revision__files").first()


def pins_to(configuration: Configuration) -> list[tuple[Agent, str]]:
    """Some of the agents that are pinned to a configuration or a revision of it, each with why."""
    rows = configuration.pins.select_related("agent", "configuration", "revision").defer("revision__files")
    return [(pin.agent, pin_words(pin)) for pin in rows[:_MOST]]


def pinned_to(pin: Pin) -> str:
    """Name of the configuration, and the number of the revision if it is one."""
    return f"{pin.configuration.name} r{pin.revision.number}" if pin.revision else pin.configuration.name


def pin_words(pin: Pin) -> str:
    """To what, by whom, why and until when, in the reader's language."""
    said = {"what": pinned_to(pin), "by": pin.pinned_by_name, "reason": pin.reason, "since": time_words(pin.pinned_at)}
    text = _("Pinned to %(what)s by %(by)s since %(since)s: %(reason)s") % said
    return f"{text} {end_words(pin.expires_at)}".strip()


def pin_marks(agent_ids: Sequence[int]) -> Mapping[int, Mark]:
    """*Pinned*, with the reason, for lists."""
    rows = Pin.objects.filter(agent__in=agent_ids).values_list("agent_id", "reason")
    return {key: Mark(gettext_lazy("pinned"), reason) for key, reason in rows}


def pin_heading(request: HttpRequest, agent: Agent) -> PagePart:
    """What the agent is pinned to, and the way to pin it or to unpin it."""
    pin = pin_of(agent)
    tools: list[tuple[str, Any]] = []
    if request.user.has_perms(PIN_RIGHTS):
        tools.append((reverse("admin:agent_pin", args=[agent.pk]), _("Pin…")))
        if pin is not None:
            tools.append((reverse("admin:agent_unpin", args=[agent.pk]), _("Unpin…")))
    return PagePart([pin_words(pin)] if pin is not None else [], tools)
