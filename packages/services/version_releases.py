"""Making a version of a package what agents should have. See `rollouts.services.version_publishing`."""

from __future__ import annotations

from foundation.messages import Message
from packages.errors import NothingToRelease
from packages.models import PackageVersion
from packages.services.installing import assign_packages
from packages.services.matching import PACKAGES
from rollouts.services.version_publishing import Releasing


def _refusal(version: PackageVersion, to_all: bool) -> NothingToRelease | None:
    if not version.artefacts.exists():
        return NothingToRelease(
            Message("package-version-empty", "Version {version} has no file yet: add one first.", version=str(version))
        )
    if to_all:
        return NothingToRelease(
            Message(
                "package-version-released", "Version {version} is released to everybody already.", version=str(version)
            )
        )
    return None


PACKAGE_RELEASES = Releasing(
    PACKAGES,
    from_agent="installations__package",
    assign=assign_packages,
    verb="package.release",
    told_as=lambda version: version.version,
    refusal=_refusal,
)
publish_version, named_agents = PACKAGE_RELEASES.publish, PACKAGE_RELEASES.named_agents
