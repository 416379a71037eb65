"""What a change of a variable or secret does to configurations: counted first, then released to the agents it concerns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from django.db.models import F, Q

from configurations.models import Assignment, Pin, Revision, RevisionQuerySet, runs_any
from configurations.services.rendering import Renderer, rendering_of
from configurations.services.targeting import fresh_targeting, hold_targeting, rematch
from foundation import wakeups
from variables.services.known_values import Values, fresh_values
from variables.templating import RenderingFailure
from variables.value_users import Rerendering


class ConfigurationConsumer:
    """Configurations as something that uses variables and secrets (`variables.value_users.Consumer`)."""

    def hold(self) -> None:
        """Targeting, before agents are locked: whoever matches agents renders for them as well."""
        hold_targeting(exclusive=True)

    def users(self, uses: Collection[str]) -> dict[str, list[str]]:
        """Those with a revision in force, or pinned, or a newest one, that has the use."""
        found: dict[str, set[str]] = {use: set() for use in uses}
        for name, own in _templated().values_list("configuration__name", "uses"):
            for use in found.keys() & _written(own):
                found[use].add(name)
        return {use: sorted(names) for use, names in found.items()}

    def preview(self, use: str) -> Sequence[Rerendering]:
        """By configuration, those that agents should run now."""
        renderer = Renderer(fresh_values())
        return [self._preview(name, keys, renderer) for name, keys in sorted(_revisions_with(use).items())]

    def release(self, use: str, at: datetime) -> int:
        """See `release_rendering`."""
        return release_rendering(_revisions_with(use).values(), fresh_values(), at)

    def _preview(self, name: str, revisions: Sequence[int], renderer: Renderer) -> Rerendering:
        rows = Assignment.objects.filter(runs_any(revisions)).select_related("agent").order_by()
        needed = ("composition", "revision", "rendering_error", "agent__labels", "agent__configuration_hash")
        agents = changes = failures = 0
        for row in rows.only(*needed).iterator(chunk_size=2_000):
            agents += 1
            try:
                found = rendering_of(row, row.agent.labels, renderer)
                changes += bool(row.rendering_error) or found is None or found.hash != row.agent.configuration_hash
            except RenderingFailure:
                failures += 1
        return Rerendering(name, agents, changes, failures)


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


def _templated() -> RevisionQuerySet:
    in_force = Q(release__isnull=False, release__ended_at=None) | Q(pk=F("configuration__current_id"))
    in_force |= Q(pk__in=Pin.objects.filter(revision__isnull=False).values("revision"))
    return Revision.objects.filter(in_force, templated=True).order_by()


def _revisions_with(use: str) -> dict[str, list[int]]:
    """The keys of the revisions in force that have the use, by their configurations' names."""
    found: dict[str, list[int]] = {}
    for key, name, own in _templated().values_list("pk", "configuration__name", "uses"):
        if use in _written(own):
            found.setdefault(name, []).append(key)
    return found


def _written(uses: Mapping[str, Sequence[str]]) -> set[str]:
    return {f"{group}.{name}" for group in ("vars", "secrets") for name in uses.get(group, ())}
