"""Which packages each agent should have. Changes no agent."""

from __future__ import annotations

from dataclasses import dataclass

from agents.models import Agent
from packages.models import RELEASE_SUBJECT, Artefact, Package, PackageGeneration, PackageVersion
from rollouts.services.releasable import Releasable, ReleasedTargeting

PackageTargeting = ReleasedTargeting[Package, PackageVersion]

PACKAGES = Releasable(
    RELEASE_SUBJECT,
    Package.objects,
    PackageVersion.objects,
    "package",
    PackageGeneration.objects,
    lock=0x0A4D_5002,
    strength=lambda package: (package.name, -package.priority, package.pk),
    competes_as=lambda package: package.name,
    prefetch=["artefacts"],
)
"""Held after configurations' targeting and before agents."""
hold_packages, bump_packages = PACKAGES.hold, PACKAGES.bump
current_packages, fresh_packages = PACKAGES.current, PACKAGES.fresh


@dataclass(frozen=True, slots=True)
class WantedVersion:
    """A version of a package that an agent should have; no ``artefact``: there is no file for its platform."""

    package: Package
    version: PackageVersion
    artefact: Artefact | None


def packages_wanted_by(agent: Agent, targeting: PackageTargeting) -> list[WantedVersion]:
    """Of each name the strongest that matches and is released to the agent, with the file that fits it closest."""
    found = targeting.wanted_by(agent.instance_uid, agent.labels)
    return [WantedVersion(package, version, version.artefact_for(agent.labels)) for package, version in found]
