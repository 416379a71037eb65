"""Agents that run the same, as groups to be adopted in one go. Reads; only `note_likeness` writes, and only what it has worked out.

Supervised agents never report the same text: each has its own instance uid and port in it. So documents are grouped by their
likeness, the digest of what they mean without such additions, which the leading process works out once for each. Until then a
document is a group of its own.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Min, Q, QuerySet, Value
from django.db.models.functions import Coalesce, NullIf

from accounts.models import User
from agents.models import Agent, ReportedDocument, ReportedState
from agents.reports import JsonObject
from configurations.meaning import MOST_CHARACTERS, meaning_of
from configurations.own_additions import without_additions
from configurations.services.adopting import Proposal, fitting_labels, propose

LIKENESS_SECONDS = 10
MOST_GROUPS = 1_000
"""The largest ones are listed."""

_EXAMPLES = 5
_AT_ONCE = 20
_SECONDS_AT_ONCE = 0.3
_CHUNK = 5_000
_EFFECTIVE = ReportedDocument.Kind.EFFECTIVE_CONFIG


@dataclass(frozen=True, slots=True)
class AgentGroup:
    """Agents that run the same: how many, and how many of them are connected. ``key`` names it as long as they run that."""

    key: str
    agents: int
    connected: int


@dataclass(slots=True)
class DescribedGroup:
    """A group with some of its agents, the labels that all of them share, and whom a selector of these would reach beside them."""

    group: AgentGroup
    examples: list[Agent] = field(default_factory=list)
    labels: dict[str, str] | None = None
    outside: int = 0

    @property
    def selector(self) -> dict[str, str]:
        """What is proposed; empty when they share nothing that would do."""
        return fitting_labels(self.labels or {})


def agent_groups(*, everybody: bool = False) -> list[AgentGroup]:
    """The groups of agents that should run nothing of ours, or of all agents; the largest first, in one query."""
    rows = (
        _members(everybody=everybody)
        .values("key")
        .annotate(agents=Count("*"), connected=Count("agent_id", filter=Q(agent__connected=True)))
        .order_by("-agents", "key")[:MOST_GROUPS]
    )
    return [AgentGroup(row["key"], row["agents"], row["connected"]) for row in rows]


def group_of(key: str, *, everybody: bool = False) -> AgentGroup | None:
    """One of them, as it is now."""
    counted = _of_keys([key], everybody=everybody).aggregate(
        agents=Count("*"), connected=Count("agent_id", filter=Q(agent__connected=True))
    )
    return AgentGroup(key, counted["agents"], counted["connected"]) if counted["agents"] else None


def described_groups(found: Sequence[AgentGroup], *, everybody: bool = False) -> list[DescribedGroup]:
    """The groups of a page with what they share. Reads the labels of their agents once, and those of all agents once."""
    whole = {group.key: DescribedGroup(group) for group in found}
    if not whole:
        return []
    examples: dict[str, list[int]] = {key: [] for key in whole}
    rows = (
        _of_keys(list(whole), everybody=everybody).order_by("agent_id").values_list("key", "agent_id", "agent__labels")
    )
    for key, agent_id, labels in rows.iterator(chunk_size=_CHUNK):
        group = whole[key]
        if len(examples[key]) < _EXAMPLES:
            examples[key].append(agent_id)
        if group.labels is None:
            group.labels = dict(labels)
        else:
            shared = group.labels
            group.labels = {name: shared[name] for name in shared if labels.get(name) == shared[name]}
    known = Agent.objects.in_bulk([agent_id for ids in examples.values() for agent_id in ids])
    for key, ids in examples.items():
        whole[key].examples = [known[agent_id] for agent_id in ids if agent_id in known]
    _count_outside(list(whole.values()))
    return list(whole.values())


def propose_for_group(key: str, *, by: User | None) -> Proposal | None:
    """What adopting the group would make, of all agents that run the same, with the labels that they share as selector.

    What one of its agents runs is taken, one that is connected if there is any. ``None``: nobody runs that any more. Raises what
    `adopting.propose` raises.
    """
    group = group_of(key, everybody=True)
    row = _of_keys([key], everybody=True).order_by("-agent__connected", "agent_id").select_related("agent").first()
    if group is None or row is None:
        return None
    (whole,) = described_groups([group], everybody=True)
    return propose(row.agent, by=by, selector=whole.selector, name=row.agent.service_name or "adopted")


def unjudged() -> int:
    """How many documents have no likeness yet."""
    return ReportedDocument.objects.filter(kind=_EFFECTIVE, likeness="").count()


def note_likeness(_at: datetime) -> int:
    """Work out the likeness of some documents that have none; returns how many. The chore of the leading process."""
    waiting = ReportedDocument.objects.filter(kind=_EFFECTIVE, likeness="")
    done = waiting.filter(size__gt=4 * MOST_CHARACTERS).update(likeness=F("hash"))
    until = time.monotonic() + _SECONDS_AT_ONCE
    documents = list(waiting.order_by("stored_at", "hash")[:_AT_ONCE])
    reporters = _attributes_by_document([document.hash for document in documents])
    for document in documents:
        found = likeness_of(document.content, reporters.get(document.hash, {})) or document.hash
        done += waiting.filter(hash=document.hash).update(likeness=found)
        if time.monotonic() > until:
            break
    return done


def likeness_of(content: Mapping[str, JsonObject], attributes: Mapping[str, str]) -> str:
    """A digest that is the same for files that mean the same without what their agent added; empty where they mean nothing."""
    files: dict[str, JsonObject] = {}
    for key, entry in content.items():
        body = entry.get("body")
        files[key] = {**entry, "body": without_additions(body, attributes).text} if isinstance(body, str) else entry
    meaning = meaning_of(files)
    if meaning is None:
        return ""
    written = json.dumps(meaning, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(written.encode()).hexdigest()


def _members(*, everybody: bool) -> QuerySet[Any]:
    rows = ReportedState.objects.filter(effective_config__isnull=False).order_by()
    if not everybody:
        rows = rows.filter(agent__configuration_name="")
    key = Coalesce(NullIf(F("effective_config__likeness"), Value("")), F("effective_config_id"))
    return rows.annotate(key=key)


def _of_keys(keys: Sequence[str], *, everybody: bool) -> QuerySet[Any]:
    """By index: a key is a likeness, or the hash of a document that has none."""
    documents = ReportedDocument.objects.filter(kind=_EFFECTIVE)
    found = documents.filter(Q(likeness__in=keys) | Q(likeness="", hash__in=keys))
    return _members(everybody=everybody).filter(effective_config__in=found.values("pk"))


def _attributes_by_document(hashes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Of each document what one of the agents that run it says of itself."""
    rows = ReportedState.objects.filter(effective_config__in=hashes).order_by().values("effective_config_id")
    agents = {row["effective_config_id"]: row["one"] for row in rows.annotate(one=Min("agent_id"))}
    known = Agent.objects.in_bulk(agents.values())
    return {
        key: {"service.instance.id": str(known[pk].instance_uid), **known[pk].asserted_labels, **known[pk].labels}
        for key, pk in agents.items()
        if pk in known
    }


def _count_outside(found: Iterable[DescribedGroup]) -> None:
    """How many agents of the whole fleet each selector matches beside those of the group, which it matches all."""
    selectors = [(group, group.selector.items()) for group in found if group.selector]
    if not selectors:
        return
    counts = [0] * len(selectors)
    for labels in Agent.objects.order_by().values_list("labels", flat=True).iterator(chunk_size=_CHUNK):
        has = labels.items()
        for place, (_group, clauses) in enumerate(selectors):
            counts[place] += clauses <= has
    for (group, _clauses), number in zip(selectors, counts, strict=True):
        group.outside = max(number - group.group.agents, 0)
