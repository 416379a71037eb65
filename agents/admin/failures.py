"""Why agents are in error: the text of each, and the fleet's errors grouped by it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from django.db.models import Case, Count, F, Q, QuerySet, TextField, Value, When
from django.db.models.functions import Left
from django.db.models.lookups import Exact
from django.utils.translation import gettext_lazy as _

from agents import extensions
from agents.conditions import status_condition
from agents.models import Agent
from agents.reports import Status

# The parameter of the list, and how much of a text makes two errors the same: what follows are places and stacks.
REASON = "reason"
_SAME = 200
_MOST_AGENTS = 10_000
_MOST_GROUPS = 10
NO_REASON = _("no reason given")


class ErrorGroup(NamedTuple):
    """So many agents in error that say the same; ``text`` may be empty."""

    text: str
    number: int


class Errors(NamedTuple):
    """The largest groups; ``others`` agents are in smaller ones. ``partial``: only the first 10,000 were read."""

    groups: list[ErrorGroup]
    others: int
    partial: bool


def has_reason(text: str) -> Q:
    """Agents in error that give this reason."""
    return status_condition(Status.ERROR) & Q(Exact(_reason(), Value(text, output_field=TextField())))


def errors_among(agents: QuerySet[Agent]) -> Errors:
    """Those of ``agents`` that are in error, grouped by reason, the largest group first."""
    some = agents.filter(status_condition(Status.ERROR)).order_by().select_related(None).values("pk")
    rows = Agent.objects.filter(pk__in=some[: _MOST_AGENTS + 1]).order_by()
    counted = rows.annotate(reason=_reason()).values_list("reason").annotate(number=Count("*"))
    found = sorted(
        (ErrorGroup(text, number) for text, number in counted), key=lambda group: (-group.number, group.text)
    )
    total = sum(group.number for group in found)
    shown = found[:_MOST_GROUPS]
    return Errors(shown, total - sum(group.number for group in shown), total > _MOST_AGENTS)


def reasons_of(agents: Iterable[Agent]) -> dict[int, str]:
    """The reason of each that is in error, by primary key; no query when none is."""
    keys = [agent.pk for agent in agents if agent.status is Status.ERROR]
    return dict(Agent.objects.filter(pk__in=keys).values_list("pk", _reason())) if keys else {}


def _reason() -> Case:
    """What the agent said of its configuration, if that failed; else of its health."""
    return Case(
        When(config_failed=True, then=Left(F(extensions.configuration_error()), _SAME)),
        When(healthy=False, then=Left(F("last_error"), _SAME)),
        default=Value(""),
        output_field=TextField(),
    )
