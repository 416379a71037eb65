"""Agents that are there and not well: unhealthy, with a configuration that failed, or running something else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from agents.models import Agent, AgentEvent
from alerts.models import AlertRule
from alerts.parameters import Parameter, reaches
from alerts.rule_kinds.base import MIN_AGENTS, AgentKind
from foundation.messages import Message

_LEAST = Parameter(MIN_AGENTS, _("At least so many agents"), 1, 1)


class Unhealthy(AgentKind):
    """Connected, and unhealthy for n minutes or longer."""

    name = "agents_unhealthy"
    title = _("Agents are unhealthy")
    about = _("Connected agents that have reported to be unhealthy for some minutes.")
    parameters = (Parameter("minutes", _("Minutes"), 5, 0, 24 * 60), _LEAST)

    def agents(self, rule: AlertRule, now: datetime) -> QuerySet[Agent]:
        """Those of whose timelines no line says that they were well within the time."""
        ill = self.watched(rule, now).filter(connected=True, healthy=False)
        minutes = rule.number("minutes")
        if not minutes:
            return ill
        began = now - timedelta(minutes=minutes)
        health = AgentEvent.objects.filter(agent=OuterRef("pk"), kind=AgentEvent.Kind.HEALTH)
        within = Q(at__gt=began, at__lte=now) | Q(last_at__gt=began, last_at__lte=now)
        was_well = health.filter(within, data__healthy=True)
        # A line whose agent was ill before tells of another error.
        fell_ill = health.filter(at__gt=began, at__lte=now, data__healthy=False).exclude(data__before=False)
        return ill.filter(~Exists(was_well), ~Exists(fell_ill), first_seen_at__lte=began)

    def text(self, rule: AlertRule, count: int, total: int) -> Message:
        """How many, and for how long at least."""
        return Message(
            "alert-agents-unhealthy",
            "{count} of {total} agents have been unhealthy for {minutes} minutes or longer.",
            count=count,
            total=total,
            minutes=rule.number("minutes"),
        )


class ConfigurationFailed(AgentKind):
    """The configuration failed on n agents, or on x % of them."""

    name = "configuration_failed"
    title = _("A configuration fails")
    about = _("Agents that could not apply the configuration they should run: so many, or such a part of all.")
    parameters = (
        Parameter(MIN_AGENTS, _("So many agents"), 1, 0, help_text=_("0: the number does not count.")),
        Parameter("percent", _("or so many percent"), 0, 0, 100, _("0: the share does not count.")),
    )

    def problems(self, values: Mapping[str, int]) -> dict[str, list[Message]]:
        """One of the two bounds has to count."""
        if values[MIN_AGENTS] or values["percent"]:
            return {}
        said = Message("alert-no-bound", "Name a number of agents, or a share of them: with both at 0 it never fires.")
        return {f"parameters.{MIN_AGENTS}": [said]}

    def agents(self, rule: AlertRule, now: datetime) -> QuerySet[Agent]:
        """Connected or not: what failed stays failed."""
        return self.watched(rule, now).filter(config_failed=True)

    def fires(self, rule: AlertRule, count: int, total: int) -> bool:
        """Either bound."""
        return reaches(count, total, least=rule.number(MIN_AGENTS), percent=rule.number("percent"))

    def text(self, rule: AlertRule, count: int, total: int) -> Message:
        """How many of how many."""
        return Message(
            "alert-configuration-failed",
            "The configuration failed on {count} of {total} agents.",
            count=count,
            total=total,
        )


class Drifted(AgentKind):
    """Agents run something else than they applied."""

    name = "agents_drifted"
    title = _("Agents drift")
    about = _("Agents that run something else than the configuration they applied.")
    parameters = (_LEAST,)

    def agents(self, rule: AlertRule, now: datetime) -> QuerySet[Agent]:
        """Of those that are not connected the last known fact counts for nothing."""
        return self.watched(rule, now).filter(connected=True, config_drifted=True)

    def text(self, rule: AlertRule, count: int, total: int) -> Message:
        """How many of how many."""
        return Message(
            "alert-agents-drifted",
            "{count} of {total} agents run something else than they applied.",
            count=count,
            total=total,
        )
