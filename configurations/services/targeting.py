"""Which revision each agent should run: the compiled index of selectors, and re-matching exactly the agents concerned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from uuid import UUID, uuid4

from agents.extensions import Placed
from agents.models import Agent
from agents.selectors import Entry, Selector, SelectorIndex
from configurations.models import Assignment, Configuration, Pin, Revision, TargetingGeneration, runs
from configurations.services.assigning import Target
from configurations.services.assigning_alike import MatchedAgent, assign_alike
from configurations.services.rendering import Renderer
from foundation.advisory_locks import hold_advisory
from rollouts.audiences import EVERYONE, Audience

_TARGETING_LOCK = 0x0A4D_5001


@dataclass(frozen=True, slots=True)
class Released:
    """One revision in force for an audience: ``target`` for the agents that ``selector`` matches, nobody when disabled."""

    audience: Audience
    enabled: bool
    priority: int
    selector: Selector
    target: Target


@dataclass(frozen=True, slots=True)
class Pinned:
    """What one agent is pinned to: the ``fixed`` revision, or the newest of a configuration's ``releases`` for the agent."""

    fixed: Target | None
    releases: Sequence[Released] = ()

    def target(self, instance_uid: UUID, labels: Mapping[str, str]) -> Target | None:
        """The target; ``None`` while nothing enabled of the configuration is released to the agent."""
        if self.fixed is not None:
            return self.fixed
        newest = _newest_for(self.releases, instance_uid, labels)
        return replace(newest.target, pinned=True) if newest is not None and newest.enabled else None


@dataclass(frozen=True, slots=True)
class Fragments:
    """What is released of fragments: all that match an agent count. Held as `Targeting` holds wholes."""

    index: SelectorIndex | None = None
    targets: Mapping[int, Released] = field(default_factory=dict)
    staged: Sequence[Sequence[Released]] = ()

    def added_to(self, whole: Target | None, instance_uid: UUID, labels: Mapping[str, str]) -> Target | None:
        """``whole`` with the fragments for this agent; these alone where there is none."""
        if self.index is None and not self.staged:
            return whole
        found = (
            [] if self.index is None else [self.targets[int(str(each.key))] for each in self.index.candidates(labels)]
        )
        for releases in self.staged:
            one = _newest_for(releases, instance_uid, labels)
            if one is not None and one.enabled and one.selector.matches(labels):
                found.append(one)
        if not found:
            return whole
        found.sort(key=lambda each: (-each.priority, each.target.name))
        return replace(whole or _NO_WHOLE, fragments=tuple(each.target for each in found))


def _newest_for(releases: Sequence[Released], instance_uid: UUID, labels: Mapping[str, str]) -> Released | None:
    return next((each for each in releases if each.audience.includes(instance_uid, labels)), None)


# What is told of agents that get fragments alone.
_NO_WHOLE = Target(configuration_id=None, name="", revision_id=None, number=None, hash="")


@dataclass(frozen=True, slots=True)
class Targeting:
    """All that is released, compiled, as of one generation.

    ``index`` and ``targets``, by key of the configuration, hold what is released to everyone; ``staged`` the releases of
    each other configuration, newest first. ``pins`` are by the agent's key, since uids change. All that is of wholes; what is
    released of ``fragments`` stands apart, since they do not compete.
    """

    generation: UUID | None
    index: SelectorIndex
    targets: Mapping[int, Released]
    staged: Sequence[Sequence[Released]] = ()
    pins: Mapping[int, Pinned] = field(default_factory=dict)
    fragments: Fragments = field(default_factory=Fragments)

    def target_of(self, agent: Agent | MatchedAgent) -> Target | None:
        """What this agent is pinned to, else the `winner`; with the fragments that match it."""
        pinned = self.pins.get(agent.pk)
        chosen = None if pinned is None else pinned.target(agent.instance_uid, agent.labels)
        whole = chosen or self.winner(agent.instance_uid, agent.labels)
        return self.fragments.added_to(whole, agent.instance_uid, agent.labels)

    def winner(self, instance_uid: UUID, labels: Mapping[str, str]) -> Target | None:
        """The target by selectors: highest priority, then name. Of a configuration the newest release for the agent counts."""
        entry = self.index.winner(labels)
        best = None if entry is None else self.targets[int(str(entry.key))]
        for releases in self.staged:
            one = _newest_for(releases, instance_uid, labels)
            if one is None or not one.enabled or not one.selector.matches(labels):
                continue
            if best is None or (-one.priority, one.target.name) < (-best.priority, best.target.name):
                best = one
        return None if best is None else best.target


_compiled: Targeting | None = None


def hold_targeting(*, exclusive: bool) -> None:
    """Keep targeting still until the transaction ends: shared while matching, exclusive while changing it.

    Without it a batch could match a newcomer against the old selectors while a publish, which cannot see the newcomer
    yet, re-matches everybody else.
    """
    hold_advisory(_TARGETING_LOCK, exclusive=exclusive)


def bump_generation() -> None:
    """Tell every process to rebuild its index; inside the transaction that changed the targeting."""
    TargetingGeneration.objects.update_or_create(pk=1, defaults={"token": uuid4()})


def current_targeting() -> Targeting:
    """The compiled targeting, rebuilt only when its generation moved: one small query otherwise.

    Only for transactions that did not change it; those use `fresh_targeting`, so that nothing uncommitted is kept.
    """
    global _compiled  # noqa: PLW0603  a cache of committed rows, replaced whole
    token = TargetingGeneration.objects.filter(pk=1).values_list("token", flat=True).first()
    known = _compiled
    if known is None or known.generation != token:
        known = _compiled = _build(token)
    return known


def placements_for(agents: Sequence[tuple[UUID, Mapping[str, str]]]) -> list[Placed]:
    """The names of what agents with these uids and labels should run."""
    targeting = current_targeting()
    # Labels place pinned agents nowhere else; fragments go on by them.
    held = _names_of_pinned([uid for uid, _labels in agents]) if targeting.pins else {}
    found = []
    for each in agents:
        whole = held.get(each[0]) or (target.name if (target := targeting.winner(*each)) else "")
        added = targeting.fragments.added_to(None, *each)
        found.append(Placed(whole, frozenset(part.name for part in added.fragments) if added else frozenset()))
    return found


def _names_of_pinned(uids: Sequence[UUID]) -> dict[UUID, str]:
    """What those of these agents run that run what they are pinned to."""
    rows = Agent.objects.filter(assignment__reason=Assignment.Reason.PINNED)
    names = dict(rows.values_list("instance_uid", "configuration_name"))
    return {uid: names[uid] for uid in uids if uid in names}


def fresh_targeting() -> Targeting:
    """The targeting as this transaction sees it, not kept."""
    return _build(None)


def _build(generation: UUID | None) -> Targeting:
    wholes, fragments = _Compiling(), _Compiling()
    pins = list(Pin.objects.select_related("configuration", "revision").defer("revision__files"))
    followed: dict[int, list[Released]] = {pin.configuration_id: [] for pin in pins if pin.revision_id is None}
    for key, revisions in groupby(Revision.objects.released(), lambda revision: revision.configuration_id):
        rows = list(revisions)
        releases = [_released(revision) for revision in rows]
        if key in followed:
            followed[key] = releases
        (fragments if rows[0].configuration.is_fragment else wholes).add(key, releases)
    pinned = {
        pin.agent_id: Pinned(_fixed(pin.configuration, pin.revision))
        if pin.revision is not None
        else Pinned(None, followed[pin.configuration_id])
        for pin in pins
    }
    index = SelectorIndex.build(fragments.entries) if fragments.entries else None
    added = Fragments(index, fragments.targets, fragments.staged)
    return Targeting(generation, SelectorIndex.build(wholes.entries), wholes.targets, wholes.staged, pinned, added)


@dataclass(slots=True)
class _Compiling:
    """What is to be compiled of one kind."""

    entries: list[Entry] = field(default_factory=list)
    targets: dict[int, Released] = field(default_factory=dict)
    staged: list[list[Released]] = field(default_factory=list)

    def add(self, key: int, releases: list[Released]) -> None:
        """The releases of one configuration, newest first."""
        newest = releases[0]
        if newest.audience != EVERYONE:
            self.staged.append(releases)
        elif newest.enabled:
            self.entries.append(Entry(key, newest.target.name, newest.priority, newest.selector))
            self.targets[key] = newest


def _fixed(configuration: Configuration, revision: Revision) -> Target:
    return Target(
        configuration.pk,
        configuration.name,
        revision.pk,
        revision.number,
        revision.hash,
        templated=revision.templated,
        pinned=True,
    )


def _released(revision: Revision) -> Released:
    assert revision.release is not None  # noqa: S101  `released` reads no others
    return Released(
        audience=revision.release.parsed_audience(),
        enabled=revision.enabled,
        priority=revision.priority,
        selector=revision.parsed_selector(),
        target=Target(
            configuration_id=revision.configuration_id,
            name=revision.configuration.name,
            revision_id=revision.pk,
            number=revision.number,
            hash=revision.hash,
            templated=revision.templated,
        ),
    )


def lock_agents_of(configuration: Configuration) -> list[int]:
    """Lock all agents that this configuration is assigned to; returns their primary keys.

    Before any assignment is touched, as batches of reports do it.
    """
    assigned = Agent.objects.filter(runs(configuration, "assignment__"))
    return list(assigned.locked().values_list("pk", flat=True))


# --- Re-matching agents --------------------------------------------------------------------------------------------


def rematch_agents(agent_ids: Sequence[int], at: datetime) -> None:
    """Decide anew what these agents should run; their labels changed. The caller wakes them."""
    hold_targeting(exclusive=False)
    rematch(agent_ids, current_targeting(), at)


def rematch(
    agent_ids: Iterable[int], targeting: Targeting, at: datetime, renderer: Renderer | None = None
) -> list[UUID]:
    """Match these agents and write what changed; returns the uids of agents whose desired state moved.

    ``renderer`` is for transactions that changed variables or secrets.
    """
    renders = renderer or Renderer()

    def targets_for(agents: Sequence[MatchedAgent]) -> list[Target | None]:
        targets = [targeting.target_of(agent) for agent in agents]
        renders.prepare(targets)
        return [renders.for_agent(target, agent.labels) for target, agent in zip(targets, agents, strict=True)]

    return assign_alike(sorted(agent_ids), targets_for, at)
