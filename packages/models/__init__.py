"""Rows about packages."""

from packages.models.installations import Installation, PackageSet
from packages.models.package_rows import (
    RELEASE_SUBJECT,
    Artefact,
    Package,
    PackageGeneration,
    PackageVersion,
)

__all__ = [
    "RELEASE_SUBJECT",
    "Artefact",
    "Installation",
    "Package",
    "PackageGeneration",
    "PackageSet",
    "PackageVersion",
]
