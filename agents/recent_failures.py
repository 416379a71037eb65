"""What failed within the last day, from the lines of timelines, by the reason given: on which agents, and the word for them.

One reason is one text whatever agents have in it that is secret or too long, and a query for that text finds exactly the agents
that were counted for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple

from django.db.models import Case, F, Q, QuerySet, TextField, Value, When
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce, Left

from agents.conditions import status_condition
from agents.models import Agent, AgentEvent
from agents.queries import Operation, Term, quoted_value
from agents.query_words import Suggestion, TimeWord, Word
from agents.reports import Status
from agents.shown import message_shown
from foundation.clock import clock

DAY = timedelta(days=1)
TODAY = "today"
_Kind = AgentEvent.Kind
# Whose lines say why; of the others the kind itself is the reason.
_SAYING = (_Kind.FAILED, _Kind.HEALTH)
_KINDS = (*_SAYING, _Kind.ROLLED_BACK, _Kind.REFUSED, _Kind.NOT_STORED)
_SAME = 200
_CUT = "…"
_MOST_PAIRS = 50_000
_MOST_REASONS = 5_000
_MOST_GROUPS = 8
_MOST_SUGGESTED = 20


class FailureGroup(NamedTuple):
    """So many agents failed with this reason, of which ``in_error`` still are. ``query`` lists exactly the first number."""

    reason: str
    agents: int
    in_error: int
    query: str


class Failures(NamedTuple):
    """``agents`` failed within the day; the largest groups, and how many smaller ones there are.

    ``partial``: not all lines were looked through, so that numbers are too small.
    """

    agents: int
    groups: list[FailureGroup]
    more: int
    partial: bool


def failures_of_the_day(at: datetime, agents: QuerySet[Agent] | None = None) -> Failures:
    """Those of the last 24 hours, the largest group first; of ``agents``, or of all."""
    lines = _lines(at)
    if agents is not None:
        lines = lines.filter(agent__in=agents.order_by().values("pk"))
    pairs = list(lines.values_list("reason", "agent_id").distinct()[: _MOST_PAIRS + 1])
    concerned: defaultdict[str, set[int]] = defaultdict(set)
    shown: dict[str, str] = {}
    for raw, agent in pairs:
        if raw not in shown:
            shown[raw] = reason_shown(raw)
        concerned[shown[raw]].add(agent)
    ill = set()
    if concerned:
        in_error = Agent.objects.filter(status_condition(Status.ERROR), pk__in=lines.values("agent_id"))
        ill = set(in_error.order_by().values_list("pk", flat=True))
    groups = [FailureGroup(reason, len(keys), len(keys & ill), query_for(reason)) for reason, keys in concerned.items()]
    groups.sort(key=lambda group: (-group.agents, group.reason))
    everybody = set().union(*concerned.values())
    return Failures(len(everybody), groups[:_MOST_GROUPS], max(len(groups) - _MOST_GROUPS, 0), len(pairs) > _MOST_PAIRS)


def query_for(reason: str) -> str:
    """The condition that finds the agents of a group."""
    return f"failed:{quoted_value(reason)}"


def reason_shown(raw: str) -> str:
    """In one line, without secrets, and without the last word of what was cut: half a secret is not known for one."""
    cut = len(raw) >= _SAME
    if cut:
        raw = raw[: max(raw.rfind(" "), raw.rfind("\n")) + 1]
    line = " ".join("".join(each if each.isprintable() else " " for each in message_shown(raw)).split())
    return f"{line} {_CUT}".lstrip() if cut else line


def _lines(at: datetime) -> QuerySet[Any]:
    """The lines of failures, with the ``reason`` of each as it is."""
    since = at - DAY
    lines = AgentEvent.objects.filter(Q(at__gte=since) | Q(last_at__gte=since, last_at__isnull=False), kind__in=_KINDS)
    lines = lines.filter(~Q(kind=_Kind.HEALTH) | Q(data__healthy=False)).order_by()
    said = Coalesce(Left(KT("data__error"), _SAME), Value(""), output_field=TextField())
    return lines.annotate(reason=Case(When(kind__in=_SAYING, then=said), default=F("kind"), output_field=TextField()))


def _as_they_are(at: datetime, wanted: Sequence[tuple[str, bool]]) -> list[str]:
    """The reasons of the day that are shown as one of these texts, or begin with it."""
    exact = {text for text, prefix in wanted if not prefix}
    begun = tuple(text for text, prefix in wanted if prefix)
    found = []
    for raw in _lines(at).values_list("reason", flat=True).distinct()[:_MOST_REASONS]:
        shown = reason_shown(raw)
        if shown in exact or shown.startswith(begun):
            found.append(raw)
    return found


@dataclass(frozen=True)
class FailedWord(Word):
    """Agents that failed within the last day: at all, for a reason, or within a time."""

    compares: ClassVar[bool] = True

    def condition(self, term: Term, at: datetime) -> Q:
        """Among the lines of that day. Raises `InvalidQuery`."""
        if term.operation is not Operation.IS:
            return TimeWord(self.name, self.title, _within(at)).compared(term, at)
        asked = [(value.text, value.prefix) for value in term.values]
        if any((text.casefold() == TODAY and not prefix) or (prefix and not text) for text, prefix in asked):
            return Q(pk__in=_lines(at).values("agent_id"))
        return Q(pk__in=_lines(at).filter(reason__in=_as_they_are(at, asked)).values("agent_id"))

    def suggestions(self, typed: str) -> list[Suggestion]:
        """The day, and reasons that were given in it, with the number of agents."""
        found: list[Suggestion] = [(TODAY, None)] if TODAY.startswith(typed.casefold()) else []
        groups = failures_of_the_day(clock.now()).groups
        found += [(group.reason, group.agents) for group in groups if group.reason.startswith(typed)]
        return found[:_MOST_SUGGESTED]


def _within(at: datetime) -> Callable[[str, datetime], Q]:
    def conditions(lookup: str, time: datetime) -> Q:
        within = Q(**{f"at__{lookup}": time}) | Q(**{f"last_at__{lookup}": time, "last_at__isnull": False})
        return Q(pk__in=_lines(at).filter(within).values("agent_id"))

    return conditions
