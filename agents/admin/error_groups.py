"""Why agents are in error: the text of each, and the fleet's errors grouped by it."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from django.db.models import Case, F, Q, QuerySet, TextField, Value, When
from django.db.models.functions import Left
from django.db.models.lookups import Exact
from django.utils.translation import gettext_lazy as _

from agents import extensions
from agents.conditions import status_condition
from agents.models import Agent
from agents.redaction import HIDDEN
from agents.reports import Status
from agents.shown import message_shown
from foundation.bulk_sql import counted_alike

# The parameter of the list, and how much of a text makes two errors the same: what follows are places and stacks.
REASON = "reason"
_SAME = 200
_MOST_AGENTS = 10_000
_MOST_GROUPS = 10
_CUT = "…"
NO_REASON = _("no reason given")


class ErrorGroup(NamedTuple):
    """So many agents in error that say the same, secrets hidden; ``text`` may be empty."""

    text: str
    number: int


class Errors(NamedTuple):
    """The largest groups; ``others`` agents are in smaller ones. ``partial``: only the first 10,000 were read."""

    groups: list[ErrorGroup]
    others: int
    partial: bool


def has_reason(text: str) -> Q:
    """Agents in error that give this reason, as it is shown."""
    texts = [text]
    if HIDDEN in text or text.endswith(_CUT):
        counted = _counted(Agent.objects.filter(status_condition(Status.ERROR)))
        texts = [reason for reason, _number in counted if _shown(reason) == text]
    said = Q(pk__in=[])
    for reason in texts:
        said |= Q(Exact(_reason(), Value(reason, output_field=TextField())))
    return status_condition(Status.ERROR) & said


def errors_among(agents: QuerySet[Agent]) -> Errors:
    """Those of ``agents`` that are in error, grouped by reason, the largest group first."""
    numbers: Counter[str] = Counter()
    for text, number in _counted(agents.filter(status_condition(Status.ERROR))):
        numbers[_shown(text)] += number
    groups = (ErrorGroup(text, number) for text, number in numbers.items())
    found = sorted(groups, key=lambda group: (-group.number, group.text))
    total = sum(group.number for group in found)
    shown = found[:_MOST_GROUPS]
    return Errors(shown, total - sum(group.number for group in shown), total > _MOST_AGENTS)


def with_reasons(agents: QuerySet[Agent]) -> list[Any]:
    """These agents, each with the ``reason`` of its error as it is shown, ``None`` where it is not in error."""
    found: list[Any] = list(agents.annotate(said=_reason()))
    for agent in found:
        agent.reason = _shown(agent.said) if agent.status is Status.ERROR else None
    return found


def _counted(agents: QuerySet[Agent]) -> list[tuple[str, int]]:
    """The reasons of the first 10,000 and one of ``agents``, as they gave them, with how many gave each."""
    rows = agents.select_related(None).annotate(said=_reason())
    return [(reason, number) for reason, number in counted_alike(rows, ["said"], _MOST_AGENTS + 1)]


def _shown(reason: str) -> str:
    """Without secrets, and without the last word of what was cut: half a secret is not known for one."""
    if len(reason) >= _SAME:
        reason = reason[: max(reason.rfind(" "), reason.rfind("\n")) + 1] + _CUT
    return message_shown(reason)


def _reason() -> Case:
    """What the agent said of its configuration, if that failed; else of its health."""
    return Case(
        When(config_failed=True, then=Left(F(extensions.configuration_error()), _SAME)),
        When(healthy=False, then=Left(F("last_error"), _SAME)),
        default=Value(""),
        output_field=TextField(),
    )
