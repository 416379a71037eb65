"""Packages as something that is rolled out: what `rollouts` asks of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, F
from django.urls import reverse

from accounts.models import User
from agents.models import Agent
from packages.installation_outcome import InstallationStatus
from packages.models import RELEASE_SUBJECT, Installation, Package, PackageVersion
from packages.services.matching import bump_packages, hold_packages
from packages.services.version_releases import agents_concerned, reassign, release_version
from rollouts.audiences import Audience
from rollouts.gates import Counts
from rollouts.models import Release, Rollout
from rollouts.services.standings import Progress, Standing, counts_among, end_release, members_among, widen_release
from rollouts.subjects import Member

_PROGRESS = {
    InstallationStatus.PENDING.value: Progress.WAITING,
    InstallationStatus.OFFERED.value: Progress.WAITING,
    InstallationStatus.INSTALLING.value: Progress.WAITING,
    InstallationStatus.INSTALLED.value: Progress.APPLIED,
    InstallationStatus.FAILED.value: Progress.FAILED,
    InstallationStatus.INCAPABLE.value: Progress.INCAPABLE,
}


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
            return iter(())
        rows = Installation.objects.filter(package=package, version=rollout.version_id).order_by()
        installed = {
            key: (status, error) for key, status, error in rows.values_list("agent_id", "status", "error_message")
        }

        def find(agent: Mapping[str, Any]) -> Standing | None:
            found = installed.get(agent["pk"])
            return _standing(*found) if found else None

        return members_among(agents_concerned(package), find, at)

    def counts(self, rollout: Rollout, at: datetime) -> Counts:
        """In one statement, within the index on version and status."""
        rows = (
            Installation.objects.filter(version=rollout.version_id)
            .order_by()
            .values("status", connected=F("agent__connected"), healthy=F("agent__healthy"))
            .annotate(number=Count("*"))
        )
        unsent = Agent.objects.filter(
            connected=True,
            installations__version=rollout.version_id,
            installations__status=InstallationStatus.PENDING.value,
        )
        return counts_among(((_standing(row["status"]), row) for row in rows), unsent, at)

    def release(self, rollout: Rollout, *, to: Audience, by: User | None, at: datetime) -> Release:
        """As `version_releases.release_version`."""
        version = PackageVersion.objects.select_related("package").get(pk=rollout.version_id)
        return release_version(version, to=to, by=by, at=at, keep_former=True)

    def widen(self, rollout: Rollout, *, to: Audience, at: datetime) -> None:
        """Only agents that the larger audience adds are matched anew."""
        former = widen_release(rollout, to=to)
        bump_packages()
        reassign(Package.objects.get(pk=rollout.subject_id), at, to=to, former=former)

    def withdraw(self, rollout: Rollout, *, at: datetime) -> Sequence[UUID]:
        """End the release. Nobody keeps the version: agents that had none of the package before are told to remove it."""
        audience = end_release(rollout, at=at)
        bump_packages()
        reassign(Package.objects.get(pk=rollout.subject_id), at, to=audience)
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


def _standing(status: str, error: str = "") -> Standing:
    unsent = status == InstallationStatus.PENDING.value
    return Standing(_PROGRESS[status], unsent=unsent, reached=not unsent, error=error)
