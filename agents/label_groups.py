"""How many agents have each value of a label, bounded: what a list is grouped by."""

from __future__ import annotations

from typing import Any, NamedTuple

from agents.label_conditions import label_text
from agents.models import AgentQuerySet
from agents.queries import InvalidQuery, parse_query, quoted_key, quoted_value
from agents.shown import pair_shown
from foundation.bulk_sql import counted_alike

MOST_GROUPED = 50_000
MOST_GROUPS = 100


class LabelGroup(NamedTuple):
    """``value`` of so many agents, ``None`` without the label; ``term`` asks for exactly these, ``None`` where no query can."""

    value: str | None
    number: int
    term: str | None


class LabelGroups(NamedTuple):
    """The largest groups first; ``others`` agents are in smaller ones, or have values that look like secrets.

    ``partial``: there are more agents than were counted.
    """

    groups: list[LabelGroup]
    others: int
    partial: bool


def label_groups(agents: AgentQuerySet, key: str) -> LabelGroups:
    """``agents`` by the label; of very many the first 50,000."""
    rows: Any = agents.select_related(None).annotate(group_value=label_text(key))
    found = counted_alike(rows, ["group_value"], MOST_GROUPED + 1)
    found.sort(key=lambda row: (-row[1], row[0] is not None, row[0] or ""))
    groups: list[LabelGroup] = []
    others = total = 0
    for value, number in found:
        total += number
        if len(groups) == MOST_GROUPS or (value is not None and pair_shown(key, str(value)) != value):
            others += number
        else:
            groups.append(LabelGroup(value, number, _term(key, value)))
    return LabelGroups(groups, others, total > MOST_GROUPED)


def _term(key: str, value: str | None) -> str | None:
    name = quoted_key(key)
    term = f"-has:{name}" if value is None else f"{name}={quoted_value(value)}"
    try:
        parse_query(term)
    except InvalidQuery:  # what agents report may be longer than what people ask for
        return None
    return term
