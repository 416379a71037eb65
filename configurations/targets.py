"""Why an agent should run what it should run: every candidate, strongest first, clause by clause. Reads only."""

from __future__ import annotations

import dataclasses
from typing import Any

from agents.models import Agent
from agents.reports import RemoteConfigStatuses
from agents.selectors import ClauseResult, Entry, SelectorIndex
from agents.shown import pair_shown
from configurations.models import Assignment, Configuration, Revision

_MOST = 100


def running(agent: Agent) -> Revision | None:
    """The newest revision with the files that the agent says are applied; ``None`` when they are none of ours."""
    if agent.remote_config_status != RemoteConfigStatuses.APPLIED or not agent.remote_config_hash:
        return None
    known = Revision.objects.select_related("configuration")
    if agent.remote_config_hash == agent.configuration_hash:
        # Of templates an agent names the hash of what it got, which no revision has.
        assigned = known.filter(pk__in=Assignment.objects.filter(agent=agent).values("revision")).first()
        if assigned is not None:
            return assigned
    return known.filter(hash=agent.remote_config_hash, templated=False).order_by("-pk").first()


def why(agent: Agent) -> list[dict[str, Any]]:
    """JSON-ready candidates: the matching ones first, each with whether it wins and how its clauses did; at most 100."""
    rows = list(Configuration.objects.all())
    entries = {row.pk: Entry(row.pk, row.name, row.priority, row.parsed_selector()) for row in rows}
    winner = SelectorIndex.build(entries[row.pk] for row in rows if row.enabled).winner(agent.labels)
    matching = {row.pk: entries[row.pk].selector.matches(agent.labels) for row in rows}
    ordered = sorted(rows, key=lambda row: (not matching[row.pk], -row.priority, row.name))
    return [
        {
            "name": row.name,
            "priority": row.priority,
            "enabled": row.enabled,
            "matches": matching[row.pk],
            "wins": winner is not None and winner.key == row.pk,
            "clauses": [
                _said(clause) for clause in entries[row.pk].selector.explain(agent.labels, agent.asserted_labels)
            ],
        }
        for row in ordered[:_MOST]
    ]


def _said(clause: ClauseResult) -> dict[str, Any]:
    said = {field.name: getattr(clause, field.name) for field in dataclasses.fields(clause)}
    for name, value in (("actual", clause.actual), ("asserted", clause.asserted)):
        if value is not None:
            said[name] = pair_shown(clause.key, value)
    return said
