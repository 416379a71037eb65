"""Packages as something that is rolled out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from packages.installation_outcome import InstallationStatus
from packages.models import Installation, PackageVersion
from packages.services.version_releases import PACKAGE_RELEASES
from rollouts.models import Rollout
from rollouts.services.standings import Progress, Standing
from rollouts.services.version_subjects import VersionSubject

_PROGRESS = {
    InstallationStatus.PENDING.value: Progress.WAITING,
    InstallationStatus.OFFERED.value: Progress.WAITING,
    InstallationStatus.INSTALLING.value: Progress.WAITING,
    InstallationStatus.INSTALLED.value: Progress.APPLIED,
    InstallationStatus.FAILED.value: Progress.FAILED,
    InstallationStatus.INCAPABLE.value: Progress.INCAPABLE,
}


def _standing(status: str, error: str = "") -> Standing:
    unsent = status == InstallationStatus.PENDING.value
    return Standing(_PROGRESS[status], unsent=unsent, reached=not unsent, error=error)


def _described(rollout: Rollout) -> Mapping[str, Any]:
    """``{"package", "package_id", "version"}``."""
    version = PackageVersion.objects.filter(pk=rollout.version_id).first()
    return {
        "package": rollout.name,
        "package_id": rollout.subject_id,
        "version": version.version if version else str(rollout.version_number),
    }


PACKAGE_SUBJECT = VersionSubject(
    PACKAGE_RELEASES,
    holders=Installation.objects,
    from_agent="installations",
    pending=InstallationStatus.PENDING.value,
    standing=_standing,
    described=_described,
)
"""Nobody keeps a version that is withdrawn: agents that had none of the package before are told to remove it."""
