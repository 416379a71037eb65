"""Which packages each agent should have: all that is released, read once for each generation. Changes no agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID, uuid4

from django.db import connection
from django.db.models import prefetch_related_objects

from agents.models import Agent
from agents.selectors import Selector
from packages.installation_outcome import best_platform
from packages.models import RELEASE_SUBJECT, Artefact, Package, PackageGeneration, PackageVersion
from rollouts.audiences import Audience
from rollouts.models import Release

# Any number, as long as nothing else in this database takes advisory locks under it.
_PACKAGES_LOCK = 0x0A4D_5002


@dataclass(frozen=True, slots=True)
class ReleasedVersion:
    """One version in force for an audience, with its files by platform."""

    audience: Audience
    version: PackageVersion
    artefacts: Mapping[tuple[str, str], Artefact]

    def artefact_for(self, labels: Mapping[str, str]) -> Artefact | None:
        """The file that fits the agent closest."""
        platform = best_platform(
            self.artefacts, os_type=labels.get("os.type", ""), architecture=labels.get("host.arch", "")
        )
        return None if platform is None else self.artefacts[platform]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One enabled package with its selector and what of it is released, the newest first."""

    package: Package
    selector: Selector
    releases: Sequence[ReleasedVersion]

    def released_to(self, instance_uid: UUID, labels: Mapping[str, str]) -> ReleasedVersion | None:
        """The newest release that includes the agent; ``None`` for nothing, or when the selector does not match."""
        if not self.selector.matches(labels):
            return None
        return next((each for each in self.releases if each.audience.includes(instance_uid, labels)), None)


@dataclass(frozen=True, slots=True)
class WantedVersion:
    """A version of a package that an agent should have; no ``artefact``: there is no file for its platform."""

    package: Package
    version: PackageVersion
    artefact: Artefact | None


@dataclass(frozen=True, slots=True)
class PackageTargeting:
    """All candidates as of one generation, those of one name by priority."""

    generation: UUID | None
    candidates: Sequence[Candidate]

    def wanted_by(self, agent: Agent) -> list[WantedVersion]:
        """Of each name the strongest that matches and is released to the agent."""
        found: dict[str, WantedVersion] = {}
        for candidate in self.candidates:
            if candidate.package.name in found:
                continue
            released = candidate.released_to(agent.instance_uid, agent.labels)
            if released is not None:
                found[candidate.package.name] = WantedVersion(
                    candidate.package, released.version, released.artefact_for(agent.labels)
                )
        return list(found.values())


NOTHING_RELEASED = PackageTargeting(None, ())
"""While nobody has released anything: then no agent has a set."""
_known: PackageTargeting | None = None


def hold_packages(*, exclusive: bool) -> None:
    """Keep what is released still until the transaction ends: shared while matching, exclusive while changing it.

    After configurations' targeting and before agents. SQLite has one writer, so there it holds by itself.
    """
    if connection.vendor == "postgresql":
        function = "pg_advisory_xact_lock" if exclusive else "pg_advisory_xact_lock_shared"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(%s)", [_PACKAGES_LOCK])


def bump_packages() -> None:
    """Have every process read what is released anew; inside the transaction that changed it."""
    PackageGeneration.objects.update_or_create(pk=1, defaults={"token": uuid4()})


def current_packages() -> PackageTargeting:
    """What is released, read anew only when it changed: one small query otherwise. Only for who did not change it."""
    global _known  # noqa: PLW0603  a cache of committed rows, replaced whole
    token = PackageGeneration.objects.filter(pk=1).values_list("token", flat=True).first()
    if token is None:
        return NOTHING_RELEASED
    known = _known
    if known is None or known.generation != token:
        known = _known = _read(token)
    return known


def fresh_packages() -> PackageTargeting:
    """What is released as this transaction sees it, not kept."""
    return _read(None)


def _read(generation: UUID | None) -> PackageTargeting:
    releases = list(Release.objects.filter(subject=RELEASE_SUBJECT).live().order_by("subject_id", "-pk"))
    packages = Package.objects.filter(enabled=True).in_bulk([release.subject_id for release in releases])
    versions = PackageVersion.objects.in_bulk([release.version_id for release in releases])
    prefetch_related_objects(list(versions.values()), "artefacts")
    candidates = []
    for key, of_package in groupby(releases, lambda release: release.subject_id):
        package = packages.get(key)
        if package is None:
            continue
        released = [
            ReleasedVersion(
                release.parsed_audience(),
                version,
                {(each.os_type, each.architecture): each for each in version.artefacts.all()},
            )
            for release in of_package
            if (version := versions.get(release.version_id)) is not None
        ]
        candidates.append(Candidate(package, package.parsed_selector(), released))
    candidates.sort(key=lambda each: (each.package.name, -each.package.priority, each.package.pk))
    return PackageTargeting(generation, candidates)
