"""What an edit would change, without saving anything: whom it would gain and lose."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass

from agents.label_conditions import selector_condition
from agents.models import Agent
from agents.reports import AgentCapabilities
from agents.selectors import Entry, SelectorIndex, parse_selector
from configurations.checks import Finding
from configurations.models import Configuration
from configurations.services.drafts import Draft, checked

SAMPLE = 20
_DRAFT = "draft"


@dataclass(frozen=True, slots=True)
class PreviewAgent:
    """One agent of the sample."""

    instance_uid: str
    name: str
    hostname: str
    connected: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """Counts of agents: ``matched`` by the selector, of which the draft would win ``assigned``.

    ``gained`` do not run this configuration now, ``lost`` would no longer. ``offline`` and ``incapable`` are among the
    assigned.
    """

    matched: int
    assigned: int
    gained: int
    lost: int
    offline: int
    incapable: int
    sample: list[PreviewAgent]
    findings: list[Finding]

    def changing(self, *, new_files: bool) -> int:
        """Agents for whom something changes; with new files also those that run this configuration already."""
        return self.lost + (self.assigned if new_files else self.gained)


def preview(draft: Draft, *, name: str | None) -> Preview:
    """What publishing ``draft`` as ``name`` (``None``: a new configuration) would do.

    Raises `InvalidConfiguration` for what could not be saved.
    """
    _columns, _config, findings = checked(draft)
    return dataclasses.replace(reach(draft, name=name), findings=findings)


def reach(draft: Draft, *, name: str | None) -> Preview:
    """The agents concerned alone, whatever the files say. Raises `InvalidSelector`."""
    selector = parse_selector(draft.selector, match_all=draft.match_all)
    entries = [
        Entry(row.pk, row.name, row.priority, row.parsed_selector())
        for row in Configuration.objects.enabled().exclude(name=name or "")
    ]
    if draft.enabled:
        entries.append(Entry(_DRAFT, name or "", draft.priority, selector))
    index = SelectorIndex.build(entries)
    matched = assigned = gained = offline = incapable = kept = 0
    sample: list[PreviewAgent] = []
    columns = ("instance_uid", "name", "hostname", "connected", "capabilities", "labels", "configuration_name")
    candidates = Agent.objects.filter(selector_condition(selector)).in_order("name").values_list(*columns)
    for uid, agent_name, hostname, connected, capabilities, labels, present in candidates.iterator(chunk_size=2_000):
        matched += 1
        winner = index.winner(labels)
        if winner is None or winner.key != _DRAFT:
            continue
        assigned += 1
        kept += bool(name) and present == name
        gained += not name or present != name
        offline += not connected
        incapable += not capabilities & AgentCapabilities.ACCEPTS_REMOTE_CONFIG
        if len(sample) < SAMPLE:
            sample.append(PreviewAgent(str(uid), agent_name, hostname, connected))
    holds = Agent.objects.filter(configuration_name=name).count() if name else 0
    return Preview(matched, assigned, gained, holds - kept, offline, incapable, sample, [])


def successors(name: str) -> Counter[str]:
    """What the agents of configuration ``name`` would get without it: names with counts, ``""`` for nothing."""
    index = SelectorIndex.build(
        Entry(row.name, row.name, row.priority, row.parsed_selector())
        for row in Configuration.objects.enabled().exclude(name=name)
    )
    found: Counter[str] = Counter()
    held = Agent.objects.filter(configuration_name=name).order_by().values_list("labels", flat=True)
    for labels in held.iterator(chunk_size=2_000):
        winner = index.winner(labels)
        found[winner.name if winner else ""] += 1
    return found
