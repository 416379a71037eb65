"""Why an agent should run what it should run: every candidate, strongest first, clause by clause. Reads only."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from agents.models import Agent
from agents.reports import RemoteConfigStatuses
from agents.selectors import ClauseResult
from agents.shown import pair_shown
from configurations.models import Assignment, CompositionPart, Configuration, ConfigurationQuerySet, Revision
from configurations.services.assigning import Target
from configurations.services.targeting import current_targeting

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
    found = known.filter(hash=agent.remote_config_hash, templated=False).order_by("-pk").first()
    if found is None:
        composed = CompositionPart.objects.filter(composition__hash=agent.remote_config_hash, place=0)
        found = known.filter(pk__in=composed.values("revision"), configuration__kind=Configuration.Kind.WHOLE).first()
    return found


def why(agent: Agent) -> list[dict[str, Any]]:
    """JSON-ready candidates among the wholes, the winner and then the matching ones first; at most 100.

    Of each configuration what is released to this agent counts (``revision``, ``None`` when nothing is), with that revision's
    selector, priority and clauses. ``waiting_for`` is the number of a newer revision whose release has not come to the agent.
    """
    return explained(agent, Configuration.objects.wholes())[0]


def fragments_for(agent: Agent) -> list[dict[str, Any]]:
    """`why` of the fragments: each that ``wins`` is added to what the agent gets, the strongest first."""
    return explained(agent, Configuration.objects.fragments())[1]


def explained(agent: Agent, rows: ConfigurationQuerySet) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """`why` and `fragments_for` of these configurations, at the cost of one."""
    configurations = list(rows)
    if not configurations:
        return [], []
    released: dict[int, list[Revision]] = defaultdict(list)
    for revision in Revision.objects.released().filter(configuration__in=configurations):
        released[revision.configuration_id].append(revision)
    target = current_targeting().target_of(agent)
    parts = {} if target is None else {part.configuration_id: part for part in target.parts}
    wholes, fragments = list[dict[str, Any]](), list[dict[str, Any]]()
    for row in configurations:
        found = fragments if row.is_fragment else wholes
        found.append(_candidate(agent, row, released[row.pk], parts.get(row.pk)))
    for found in (wholes, fragments):
        found.sort(key=lambda each: (not each["wins"], not each["matches"], -each["priority"], each["name"]))
    return wholes[:_MOST], fragments[:_MOST]


def _candidate(agent: Agent, row: Configuration, live: Sequence[Revision], target: Target | None) -> dict[str, Any]:
    """How ``row``, whose releases in force are ``live``, newest first, stands to the agent, which gets ``target`` of it."""
    counts = next((each for each in live if _is_for(each, agent)), None)
    newest = live[0] if live else None
    shown = counts or newest or row
    selector = shown.parsed_selector()
    matches = selector.matches(agent.labels)
    wins = target is not None
    waits = newest is not None and newest is not counts and (matches or newest.parsed_selector().matches(agent.labels))
    return {
        "name": row.name,
        "revision": target.number if target is not None else counts and counts.number,
        "priority": shown.priority,
        "enabled": shown.enabled,
        "matches": matches,
        "wins": wins,
        "pinned": target is not None and target.pinned,
        "waiting_for": newest.number if newest is not None and waits else None,
        "clauses": [_said(clause) for clause in selector.explain(agent.labels, agent.asserted_labels)],
    }


def _is_for(revision: Revision, agent: Agent) -> bool:
    release = revision.release
    return release is not None and release.parsed_audience().includes(agent.instance_uid, agent.labels)


def _said(clause: ClauseResult) -> dict[str, Any]:
    said = {field.name: getattr(clause, field.name) for field in dataclasses.fields(clause)}
    for name, value in (("actual", clause.actual), ("asserted", clause.asserted)):
        if value is not None:
            said[name] = pair_shown(clause.key, value)
    return said
