"""Agents that are not connected: those that are gone for long, and a part of the fleet that left at once."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from agents.models import Agent
from alerts.models import AlertRule
from alerts.parameters import Parameter, reaches
from alerts.rule_kinds.base import MIN_AGENTS, AgentKind, scope
from foundation.messages import Message

_MINUTES = Parameter("minutes", _("Minutes"), 10, 0, 30 * 24 * 60)


class AgentsGone(AgentKind):
    """Disconnected for n minutes or longer."""

    name = "agents_gone"
    title = _("Agents are gone")
    about = _("Agents that have not been connected for some minutes.")
    parameters = (_MINUTES, Parameter(MIN_AGENTS, _("At least so many agents"), 1, 1))

    def agents(self, rule: AlertRule, now: datetime) -> QuerySet[Agent]:
        """Those that left long enough ago; one that left in the future of a clock that was put back counts when it is past."""
        limit = now - timedelta(minutes=rule.number("minutes"))
        return self.watched(rule, now).filter(connected=False, disconnected_at__lte=limit)

    def text(self, rule: AlertRule, count: int, total: int) -> Message:
        """How many, and for how long at least."""
        return Message(
            "alert-agents-gone",
            "{count} of {total} agents have been gone for {minutes} minutes or longer.",
            count=count,
            total=total,
            minutes=rule.number("minutes"),
        )


class FleetDropped(AgentKind):
    """Of the agents that were connected n minutes ago x % left since, and are away."""

    name = "fleet_dropped"
    title = _("The fleet drops")
    about = _("A part of the connected agents left within some minutes and has not come back.")
    parameters = (
        Parameter("minutes", _("Minutes"), 5, 1, 24 * 60),
        Parameter("percent", _("Percent of those connected"), 20, 1, 100),
        Parameter(MIN_AGENTS, _("At least so many agents"), 5, 1, help_text=_("So that a small fleet makes no noise.")),
    )

    def agents(self, rule: AlertRule, now: datetime) -> QuerySet[Agent]:
        """Those that left within the time and are away."""
        began = now - timedelta(minutes=rule.number("minutes"))
        return scope(rule, now).filter(connected=False, disconnected_at__gt=began, disconnected_at__lte=now)

    def watched(self, rule: AlertRule, now: datetime) -> QuerySet[Agent]:
        """Those that left, and those that are connected."""
        began = now - timedelta(minutes=rule.number("minutes"))
        left = Q(disconnected_at__gt=began, disconnected_at__lte=now)
        return scope(rule, now).filter(Q(connected=True) | left)

    def fires(self, rule: AlertRule, count: int, total: int) -> bool:
        """Both bounds."""
        return count >= rule.number(MIN_AGENTS) and reaches(count, total, least=0, percent=rule.number("percent"))

    def text(self, rule: AlertRule, count: int, total: int) -> Message:
        """How many left of how many."""
        return Message(
            "alert-fleet-dropped",
            "{count} of {total} connected agents left within {minutes} minutes and are away.",
            count=count,
            total=total,
            minutes=rule.number("minutes"),
        )
