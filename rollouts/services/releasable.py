"""Which versions are for which agents: all that is released of one kind, read once for each generation. Changes no agent.

A kind is a `Releasable`: an app makes one and holds, bumps and reads through it. What becomes of an agent that should have
another version than before is the app's own business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

from django.db.models import Manager, prefetch_related_objects

from agents.selectors import Selector
from foundation.advisory_locks import hold_advisory
from rollouts.audiences import Audience
from rollouts.models import Release, ReleasedVersion, ReleaseQuerySet, Targeted

Row = TypeVar("Row", bound=Targeted)
Version = TypeVar("Version", bound=ReleasedVersion)


@dataclass(frozen=True, slots=True)
class Candidate(Generic[Row, Version]):
    """One enabled row with its selector and what of it is released, the newest first."""

    row: Row
    selector: Selector
    releases: Sequence[tuple[Audience, Version]]

    def released_to(self, instance_uid: UUID, labels: Mapping[str, str]) -> Version | None:
        """The newest release that includes the agent; ``None`` for nothing, or when the selector does not match."""
        if not self.selector.matches(labels):
            return None
        return next((version for audience, version in self.releases if audience.includes(instance_uid, labels)), None)


@dataclass(frozen=True, slots=True)
class ReleasedTargeting(Generic[Row, Version]):
    """All candidates as of one generation, the strongest first; ``None``: nobody has ever released anything."""

    generation: UUID | None
    candidates: Sequence[Candidate[Row, Version]]
    competes_as: Callable[[Row], object]

    def wanted_by(self, instance_uid: UUID, labels: Mapping[str, str]) -> list[tuple[Row, Version]]:
        """Of those that compete the strongest that matches and is released to the agent, with the version."""
        found: dict[object, tuple[Row, Version]] = {}
        for candidate in self.candidates:
            place = self.competes_as(candidate.row)
            if place in found:
                continue
            version = candidate.released_to(instance_uid, labels)
            if version is not None:
                found[place] = (candidate.row, version)
        return list(found.values())


@dataclass(slots=True)
class Releasable(Generic[Row, Version]):
    """One kind of rows of which versions are released.

    ``subject`` is what rollouts call it, ``row_of`` the name of the versions' foreign key to their row. ``lock`` is a key as
    `hold_advisory` takes it. ``strength`` sorts rows, the strongest first; rows of which an agent has one at most have the same
    value of ``competes_as``. ``prefetch`` names relations of versions that matching reads.
    """

    subject: str
    rows: Manager[Row]
    versions: Manager[Version]
    row_of: str
    generations: Manager[Any]
    lock: int
    strength: Callable[[Row], Any]
    competes_as: Callable[[Row], object]
    prefetch: Sequence[str] = ()
    _known: ReleasedTargeting[Row, Version] | None = field(default=None, init=False)

    def hold(self, *, exclusive: bool) -> None:
        """Keep what is released still until the transaction ends: shared while matching, exclusive while changing it.

        Before agents are locked; of several kinds in the order of ``INSTALLED_APPS``.
        """
        hold_advisory(self.lock, exclusive=exclusive)

    def bump(self) -> None:
        """Have every process read what is released anew; inside the transaction that changed it."""
        self.generations.update_or_create(pk=1, defaults={"token": uuid4()})

    def current(self) -> ReleasedTargeting[Row, Version]:
        """What is released, read anew only when it changed: one small query otherwise. Only for who did not change it."""
        token = self.generations.filter(pk=1).values_list("token", flat=True).first()
        if token is None:
            return ReleasedTargeting(None, (), self.competes_as)
        known = self._known
        if known is None or known.generation != token:
            known = self._known = self._read(token)
        return known

    def fresh(self) -> ReleasedTargeting[Row, Version]:
        """What is released as this transaction sees it, not kept."""
        return self._read(None)

    def releases(self, row: Row) -> ReleaseQuerySet:
        """Those of one row, ended ones too."""
        return Release.objects.of(self.subject, row.pk)

    def _read(self, generation: UUID | None) -> ReleasedTargeting[Row, Version]:
        releases = list(Release.objects.filter(subject=self.subject).live().order_by("subject_id", "-pk"))
        rows = self.rows.filter(enabled=True).in_bulk([release.subject_id for release in releases])
        versions = self.versions.in_bulk([release.version_id for release in releases])
        prefetch_related_objects(list(versions.values()), *self.prefetch)
        candidates = []
        for key, of_row in groupby(releases, lambda release: release.subject_id):
            row = rows.get(key)
            if row is None:
                continue
            released = [
                (release.parsed_audience(), version)
                for release in of_row
                if (version := versions.get(release.version_id)) is not None
            ]
            candidates.append(Candidate(row, row.parsed_selector(), released))
        candidates.sort(key=lambda each: self.strength(each.row))
        return ReleasedTargeting(generation, candidates, self.competes_as)
