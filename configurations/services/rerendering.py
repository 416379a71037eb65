"""What a change of a variable or secret does to configurations: counted first, then let out to the agents it concerns.

At once, or as a rollout of a revision with the same files (`value_rollouts`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction
from django.db.models import F, Q

from configurations.models import (
    RELEASE_SUBJECT,
    Assignment,
    Configuration,
    HeldValue,
    Pin,
    Revision,
    RevisionQuerySet,
    runs_any,
)
from configurations.services import value_rollouts
from configurations.services.former_values import forget_unused_versions, give_up_held, written_uses
from configurations.services.publishing import default_policy
from configurations.services.rendering import Renderer, rendering_of
from configurations.services.targeting import fresh_targeting, hold_targeting, rematch
from foundation import wakeups
from rollouts.models import Rollout
from rollouts.services.rolling_out import require_none
from variables.services.known_values import Values, bump_values, fresh_values
from variables.templating import RenderingFailure
from variables.value_users import Rerendering, ValueChange

# How often held values are looked for that nothing needs any more.
TIDY_SECONDS = 60.0
_MOST_TIDIED = 100


class ConfigurationConsumer:
    """Configurations as something that uses variables and secrets (`variables.value_users.Consumer`)."""

    def hold(self) -> None:
        """Targeting, before agents are locked: whoever matches agents renders for them as well."""
        hold_targeting(exclusive=True)

    def users(self, uses: Collection[str]) -> dict[str, list[str]]:
        """Those with a revision in force, or pinned, or a newest one, that has the use."""
        found: dict[str, set[str]] = {use: set() for use in uses}
        for name, own in _templated().values_list("configuration__name", "uses"):
            for use in found.keys() & written_uses(own):
                found[use].add(name)
        return {use: sorted(names) for use, names in found.items()}

    def preview(self, change: ValueChange) -> Sequence[Rerendering]:
        """By configuration, those that agents should run now."""
        values = fresh_values()
        return [_preview(row, keys, values, change) for row, keys in _users_of(change.former)]

    def release(self, change: ValueChange, effects: Sequence[Rerendering]) -> Sequence[Rerendering]:
        """Each by its configuration's policy. Raises `RolloutRunning`, `ReleaseUnfinished`."""
        by_name = {effect.name: effect for effect in effects}
        found = []
        for row, keys in _users_of(change.former):
            effect = by_name[row.name]
            if effect.obstacle is not None:
                if not change.replace:
                    raise effect.obstacle
                require_none(RELEASE_SUBJECT, row.pk, replace=True, by=change.by, at=change.at)
            if effect.planned is None:
                if give_up_held(row.pk, change.former):
                    bump_values()
                release_rendering([keys], fresh_values(), change.at)
            else:
                rollout = value_rollouts.start(row, effect.planned.policy, change)
                effect = replace(effect, planned=replace(effect.planned, rollout=rollout))
            found.append(effect)
        return found

    def render_anew(self, use: str, at: datetime) -> int:
        """See `release_rendering`."""
        return release_rendering((keys for _row, keys in _users_of([use])), fresh_values(), at)


def release_rendering(revisions: Iterable[Sequence[int]], values: Values, at: datetime) -> int:
    """Have the agents that should run these revisions (keys) run what ``values`` make of them; returns how many change.

    In the caller's transaction, which holds targeting; the agents are woken after it. Those whose files stay what they were
    are left alone.
    """
    keys = [key for several in revisions for key in several]
    concerned = Assignment.objects.filter(runs_any(keys)).order_by().values_list("agent_id", flat=True)
    moved = rematch(list(concerned), fresh_targeting(), at, Renderer(values))
    wakeups.wake(moved)
    return len(moved)


def tidy_held_values(at: datetime) -> int:
    """Give up what revisions hold that are released to nobody any more, once nothing can bring it back; returns how much.

    Agents that are pinned to such a revision get the present values then. They wait for the end of the rollout, and while a
    revision in force holds the same, for it was rolled back, they do too.
    """
    rows = HeldValue.objects.filter(Q(revision__release=None) | Q(revision__release__ended_at__isnull=False))
    if not rows.exists():
        # Of configurations that are deleted.
        forget_unused_versions()
        return 0
    with transaction.atomic():
        hold_targeting(exclusive=True)
        rolling = set(Rollout.objects.active().filter(subject=RELEASE_SUBJECT).values_list("subject_id", flat=True))
        live = HeldValue.objects.filter(revision__release__isnull=False, revision__release__ended_at=None)
        needed = set(live.values_list("revision__configuration", "use"))
        idle = [
            row
            for row in rows.select_related("revision").defer("revision__files")
            if row.revision.configuration_id not in rolling and (row.revision.configuration_id, row.use) not in needed
        ][:_MOST_TIDIED]
        if not idle:
            return 0
        HeldValue.objects.filter(pk__in=[row.pk for row in idle]).delete()
        forget_unused_versions()
        bump_values()
        release_rendering([sorted({row.revision_id for row in idle})], fresh_values(), at)
    return len(idle)


@dataclass(slots=True)
class _Counted:
    agents: int = 0
    changes: int = 0
    failures: int = 0
    # Whether that is so of an agent that the selectors place, or one that had files and would have none.
    moves: bool = False


def _preview(row: Configuration, revisions: Sequence[int], values: Values, change: ValueChange) -> Rerendering:
    policy = default_policy(row)
    newest = row.current
    staged = policy is not None and newest is not None and newest.pk in revisions
    # What else is held stays so, until it is changed itself or something is published.
    renderer = Renderer(values, heeds=lambda use: use not in change.former)
    counted = _count(revisions, renderer)
    active = Rollout.objects.active().of(RELEASE_SUBJECT, row.pk).first()
    moves = counted.moves or (active is not None and value_rollouts.is_touched(active, values, change))
    effect = Rerendering(row.name, counted.agents, counted.changes, counted.failures)
    if not moves:
        return effect
    effect = replace(effect, obstacle=value_rollouts.obstacle_of(row, active, staged=staged, at=change.at))
    if not staged or policy is None:
        return effect
    return replace(effect, planned=value_rollouts.planned_rollout(row, policy, renderer))


def _count(revisions: Sequence[int], renderer: Renderer) -> _Counted:
    """Of the agents that should run one of these revisions."""
    found = _Counted()
    rows = Assignment.objects.filter(runs_any(revisions)).select_related("agent").order_by()
    needed = ("composition", "revision", "rendering_error", "agent__labels", "agent__configuration_hash")
    pinned_to = F("agent__pin__revision")
    for row in rows.only(*needed).annotate(fixed=pinned_to).iterator(chunk_size=2_000):
        found.agents += 1
        try:
            made = rendering_of(row, row.agent.labels, renderer)
        except RenderingFailure:
            found.failures += 1
            found.moves |= not row.rendering_error
            continue
        moves = bool(row.rendering_error) or made is None or made.hash != row.agent.configuration_hash
        found.changes += moves
        found.moves |= moves and row.fixed is None
    return found


def _templated() -> RevisionQuerySet:
    in_force = Q(release__isnull=False, release__ended_at=None) | Q(pk=F("configuration__current_id"))
    in_force |= Q(pk__in=Pin.objects.filter(revision__isnull=False).values("revision"))
    return Revision.objects.filter(in_force, templated=True).order_by()


def _users_of(uses: Collection[str]) -> list[tuple[Configuration, list[int]]]:
    """The configurations that use any of ``uses``, by name, each with the keys of its revisions in force that do."""
    found: dict[int, list[int]] = {}
    for key, configuration, own in _templated().values_list("pk", "configuration_id", "uses"):
        if not written_uses(own).isdisjoint(uses):
            found.setdefault(configuration, []).append(key)
    rows = Configuration.objects.select_related("current").filter(pk__in=found).order_by("name")
    return [(row, found[row.pk]) for row in rows]
