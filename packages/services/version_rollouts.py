"""Packages as something that is rolled out: what `rollouts` asks of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, F
from django.urls import reverse

from accounts.models import User
from agents.models import Agent, Approval
from packages.installation_outcome import InstallationStatus
from packages.models import RELEASE_SUBJECT, Installation, Package, PackageVersion
from packages.services.matching import bump_packages, hold_packages
from packages.services.version_releases import agents_concerned, reassign, release_version
from rollouts.audiences import Audience, stored
from rollouts.gates import Counts
from rollouts.models import Release, Rollout
from rollouts.services.freezing import current_freezes, held_among
from rollouts.subjects import Member, MemberState, counts_of

_WAITING = {
    InstallationStatus.PENDING.value,
    InstallationStatus.OFFERED.value,
    InstallationStatus.INSTALLING.value,
}
_CHUNK = 2_000


class PackageSubject:
    """`rollouts.subjects.Subject` for packages."""

    name = RELEASE_SUBJECT

    def hold(self) -> None:
        """As every edit of packages does."""
        hold_packages(exclusive=True)

    def members(self, rollout: Rollout, at: datetime) -> Iterator[Member]:
        """Those that its selector matches and those that have the package, with what became of it."""
        package = Package.objects.filter(pk=rollout.subject_id).first()
        if package is None:
            return
        rows = Installation.objects.filter(package=package).order_by()
        installed = {row["agent_id"]: row for row in rows.values("agent_id", "version_id", "status", "error_message")}
        freezes = current_freezes()
        columns = ("pk", "instance_uid", "labels", "name", "hostname", "connected", "healthy", "approval")
        seen: set[int] = set()
        for agents in agents_concerned(package):
            for row in agents.values(*columns).iterator(chunk_size=_CHUNK):
                if row["pk"] in seen:
                    continue
                seen.add(row["pk"])
                state, error = MemberState.TO_COME, ""
                found = installed.get(row["pk"])
                if found is not None and found["version_id"] == rollout.version_id:
                    state = _state(found["status"], connected=row["connected"], healthy=row["healthy"])
                    error = found["error_message"] if state is MemberState.FAILED else ""
                    if state is MemberState.WAITING and found["status"] == InstallationStatus.PENDING.value:
                        agent = Agent(pk=row["pk"], instance_uid=row["instance_uid"], labels=row["labels"])
                        held = row["approval"] != Approval.APPROVED or freezes.holding(agent, at) is not None
                        state = MemberState.HELD if held else state
                yield Member(
                    agent_id=row["pk"],
                    instance_uid=row["instance_uid"],
                    labels=row["labels"],
                    name=row["name"],
                    hostname=row["hostname"],
                    connected=row["connected"],
                    state=state,
                    error=error,
                )

    def counts(self, rollout: Rollout, at: datetime) -> Counts:
        """In one statement, within the index on version and status."""
        rows = (
            Installation.objects.filter(version=rollout.version_id)
            .order_by()
            .values("status", connected=F("agent__connected"), healthy=F("agent__healthy"))
            .annotate(number=Count("*"))
        )
        found = Counter[MemberState | None]()
        for row in rows:
            found[_state(row["status"], connected=row["connected"], healthy=row["healthy"])] += row["number"]
        held = self._held(rollout, at) if found[MemberState.WAITING] else 0
        return counts_of(found, held=held)

    def _held(self, rollout: Rollout, at: datetime) -> int:
        waiting = Agent.objects.filter(
            connected=True,
            installations__version=rollout.version_id,
            installations__status=InstallationStatus.PENDING.value,
        )
        return held_among(waiting, at)

    def release(self, rollout: Rollout, *, to: Audience, by: User | None, at: datetime) -> Release:
        """As `version_releases.release_version`."""
        version = PackageVersion.objects.select_related("package").get(pk=rollout.version_id)
        return release_version(version, to=to, by=by, at=at, keep_former=True)

    def widen(self, rollout: Rollout, *, to: Audience, at: datetime) -> None:
        """Only agents that the larger audience adds are matched anew."""
        released = rollout.release
        assert released is not None  # noqa: S101  asked of a live one
        former = released.parsed_audience()
        released.audience = stored(to)
        released.save(update_fields=["audience"])
        bump_packages()
        reassign(Package.objects.get(pk=rollout.subject_id), at, to=to, former=former)

    def withdraw(self, rollout: Rollout, *, at: datetime) -> Sequence[UUID]:
        """End the release. Nobody keeps the version: agents that had none of the package before are told to remove it."""
        released = rollout.release
        assert released is not None  # noqa: S101  asked of a live one
        Release.objects.filter(pk=released.pk).end(at)
        bump_packages()
        reassign(Package.objects.get(pk=rollout.subject_id), at, to=released.parsed_audience())
        return []

    def discard(self, rollout: Rollout, *, at: datetime) -> None:
        """A version that was not released stays as it is, and can be released later."""

    def page_of(self, rollout: Rollout) -> str:
        """Of the package."""
        if not Package.objects.filter(pk=rollout.subject_id).exists():
            return ""
        return reverse("admin:packages_package_change", args=[rollout.subject_id])

    def described(self, rollout: Rollout) -> Mapping[str, Any]:
        """``{"package", "package_id", "version"}``."""
        version = PackageVersion.objects.filter(pk=rollout.version_id).first()
        return {
            "package": rollout.name,
            "package_id": rollout.subject_id,
            "version": version.version if version else str(rollout.version_number),
        }


def _state(status: str, *, connected: bool, healthy: bool | None) -> MemberState:
    """How an agent stands to the version that it should have."""
    if status == InstallationStatus.INCAPABLE.value:
        return MemberState.INCAPABLE
    if status == InstallationStatus.FAILED.value:
        return MemberState.FAILED
    if not connected:
        return MemberState.OFFLINE if status == InstallationStatus.PENDING.value else MemberState.LOST
    if status in _WAITING:
        return MemberState.WAITING
    return MemberState.UNHEALTHY if healthy is False else MemberState.APPLIED
