"""Making what agents should have into rows: one set and one installation for each package, compared with what was before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from agents.models import Agent, AgentEvent
from agents.reports import AgentCapabilities
from foundation.bulk_sql import bulk_read, is_new
from foundation.unit_of_work import UnitOfWork
from packages.installation_outcome import InstallationStatus, package_hash, set_hash
from packages.models import Artefact, Installation, Package, PackageSet
from packages.services.matching import PackageTargeting, WantedVersion, fresh_packages, packages_wanted_by
from rollouts.services.version_publishing import assign_in_batches

_NEVER_OFFERED = {"offered_hash": "", "offered_lease": "", "offered_at": None, "offer_count": 0, "waits": False}
# What the timeline calls them.
ASSIGNED, OFFERED, INSTALLED, FAILED = "package_due", "package_offered", "package_installed", "package_failed"
REMOVED = "package_dropped"


def hash_of(package: Package, artefact: Artefact, version: str, attempt: int) -> str:
    """The package's hash as it is offered."""
    return package_hash(
        name=package.name,
        addon=package.kind == Package.Kind.ADDON,
        version=version,
        sha256=artefact.sha256,
        signature=artefact.signature,
        headers=artefact.headers,
        attempt=attempt,
    )


@dataclass(slots=True)
class PackagesOfAgent:
    """An agent's set and installations while they are worked on; ``work`` writes what changes.

    ``set`` is ``None`` for an agent that never had any.
    """

    work: UnitOfWork
    agent: Agent
    set: PackageSet | None = None
    installations: list[Installation] = field(default_factory=list)

    @property
    def accepts(self) -> bool:
        """Whether the agent takes packages at all."""
        return bool(self.agent.capabilities & AgentCapabilities.ACCEPTS_PACKAGES)

    def assign(self, wanted: Sequence[WantedVersion]) -> list[AgentEvent]:
        """Make these what the agent should have; returns lines for its timeline, none when that is no change.

        Where a version has no file for its platform, the agent keeps the package as it has it: a set without it would have
        it removed.
        """
        lines: list[AgentEvent] = []
        known = {row.package_id: row for row in self.installations}
        kept: list[Installation] = []
        for each in wanted:
            row = known.pop(each.package.pk, None)
            if each.artefact is None:
                kept += [row] if row else []
                continue
            kept.append(self._installed(row, each, each.artefact, lines))
        for row in known.values():
            self.work.delete(row)
            lines.append(self.line(REMOVED, row))
        self.installations = kept
        self.renew_set()
        return lines

    def renew_set(self) -> None:
        """The set follows its installations; one that differs was never offered."""
        hashed = set_hash((row.package.name, row.hash) for row in self.installations)
        if self.set is None:
            if not self.installations:
                return
            self.set = PackageSet(agent=self.agent, desired_hash=hashed, assigned_at=self.work.at)
            self.work.insert(self.set)
        elif self.set.desired_hash != hashed:
            self._set(desired_hash=hashed, assigned_at=self.work.at, **_NEVER_OFFERED)

    def follow_capabilities(self) -> None:
        """Whether it takes packages has changed."""
        for row in self.installations:
            if not self.accepts:
                self.set_status(row, InstallationStatus.INCAPABLE)
            elif row.status == InstallationStatus.INCAPABLE.value:
                self.set_status(row, InstallationStatus.PENDING)
        if self.set is not None:
            # What was on its way when the agent took none was dropped there.
            self._set(offered_hash="", assigned_at=self.work.at)

    def set_status(
        self, row: Installation, status: InstallationStatus, *, error: str = "", percent: float | None = None
    ) -> bool:
        """True when the status is another one."""
        self.work.change(row, "error_message", error)
        self.work.change(row, "percent", percent)
        if not self.work.change(row, "status", status.value):
            return False
        self.work.change(row, "status_at", self.work.at)
        return True

    def line(self, kind: str, row: Installation, **more: Any) -> AgentEvent:
        """A line of the timeline about one package."""
        data = {"package": row.package.name, "version": row.version.version, **more}
        return AgentEvent(agent=self.agent, at=self.work.at, kind=kind, data=data)

    def change_set(self, **values: Any) -> None:
        """Change columns of the set, which there is."""
        self._set(**values)

    def _set(self, **values: Any) -> None:
        assert self.set is not None  # noqa: S101  asked by callers
        for name, value in values.items():
            self.work.change(self.set, name, value)

    def _installed(
        self, row: Installation | None, each: WantedVersion, artefact: Artefact, lines: list[AgentEvent]
    ) -> Installation:
        status = InstallationStatus.PENDING if self.accepts else InstallationStatus.INCAPABLE
        attempt = row.attempt if row is not None and row.artefact_id == artefact.pk else 0
        hashed = hash_of(each.package, artefact, each.version.version, attempt)
        if row is None:
            row = Installation(
                agent=self.agent,
                package=each.package,
                version=each.version,
                artefact=artefact,
                hash=hashed,
                status=status.value,
                status_at=self.work.at,
            )
            self.work.insert(row)
        elif row.hash == hashed and row.version_id == each.version.pk:
            return row
        else:
            same = row.hash == hashed
            row.package, row.version, row.artefact = each.package, each.version, artefact
            self.work.mark(row, ("version", "artefact"))
            self.work.change(row, "attempt", attempt)
            self.work.change(row, "hash", hashed)
            if not same:
                self.set_status(row, status)
        lines.append(self.line(ASSIGNED, row))
        return row


def packages_of(agents: Sequence[Agent], work: UnitOfWork) -> list[PackagesOfAgent]:
    """The agents with their sets and installations, in the same order: one query, and a second where there are sets."""
    keys = [agent.pk for agent in agents if not is_new(agent)]
    sets = {row.agent_id: row for row in bulk_read(PackageSet, {"agent": keys})}
    rows: dict[int, list[Installation]] = {}
    if sets:
        for row in installations_of(list(sets)):
            rows.setdefault(row.agent_id, []).append(row)
    return [PackagesOfAgent(work, agent, sets.get(agent.pk), rows.get(agent.pk, [])) for agent in agents]


def installations_of(agent_ids: Sequence[int]) -> list[Installation]:
    """The installations of these agents with all that an offer says of them."""
    rows = Installation.objects.filter(agent__in=agent_ids).select_related("package", "version", "artefact")
    return list(rows.order_by("package__name", "pk"))


def assign_packages(agent_ids: Iterable[int], at: datetime, targeting: PackageTargeting | None = None) -> list[UUID]:
    """Match these agents, and write what changed; returns the uids of those for whom something moved.

    In the caller's transaction, which holds packages.
    """
    released = targeting or fresh_packages()

    def assign(agents: Sequence[Agent], work: UnitOfWork) -> Iterator[tuple[Agent, list[AgentEvent]]]:
        for each in packages_of(agents, work):
            yield each.agent, each.assign(packages_wanted_by(each.agent, released))

    return assign_in_batches(agent_ids, at, assign)
