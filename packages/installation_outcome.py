"""What an agent's word of one package means, and what hashes cover. Pure."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

LONGEST_ERROR = 2_000


class InstallationStatus(enum.Enum):
    """How far an agent is with a package that it should have."""

    PENDING = "pending"
    OFFERED = "offered"
    INSTALLING = "installing"
    INSTALLED = "installed"
    FAILED = "failed"
    INCAPABLE = "incapable"


@dataclass(frozen=True, slots=True)
class PackageAnswer:
    """What one report means for one package: its status, with the error of a failure and the percent of a download."""

    status: InstallationStatus
    error: str = ""
    percent: float | None = None


_ON_ITS_WAY = frozenset({"Downloading", "Installing", "InstallPending"})


def answer_of(
    package: Mapping[str, Any] | None, *, package_hash: str, version: str, offered: bool, former: InstallationStatus
) -> PackageAnswer | None:
    """What the agent's status of a package says of ``package_hash``; ``None`` when it says nothing new of it (S-92).

    ``package`` is the decoded ``PackageStatus``, ``None`` when the agent lists none of that name. ``offered``: this hash was
    sent since it is desired. Installed is the enum's zero, which old agents leave there for whatever they have: it counts
    where the hash is ours, or where the agent tells no hashes at all and the version is right.
    """
    if package is None:
        return PackageAnswer(InstallationStatus.PENDING) if former is InstallationStatus.INSTALLED else None
    has, named, status = package.get("hash", ""), package.get("server_offered_hash", ""), package.get("status", "")
    if status == "Installed":
        ours = has == package_hash or (not has and named == package_hash)
        if ours or (not has and not named and package.get("version") == version):
            return PackageAnswer(InstallationStatus.INSTALLED)
        return PackageAnswer(InstallationStatus.PENDING) if former is InstallationStatus.INSTALLED else None
    if named != package_hash and (named or not offered):
        return None
    if status == "InstallFailed":
        return PackageAnswer(InstallationStatus.FAILED, str(package.get("error_message", ""))[:LONGEST_ERROR])
    if status in _ON_ITS_WAY:
        percent = package.get("download_percent") if status == "Downloading" else None
        return PackageAnswer(InstallationStatus.INSTALLING, percent=_bounded(percent))
    return None


def _bounded(percent: Any) -> float | None:
    if isinstance(percent, bool) or not isinstance(percent, int | float):
        return None
    # A number that is none compares as false.
    return min(max(float(percent), 0.0), 100.0) if percent == percent else None


def package_hash(
    *, name: str, addon: bool, version: str, sha256: str, signature: str, headers: Mapping[str, str], attempt: int
) -> str:
    """Over all that makes an installation what it is, and not over where it is fetched: addresses expire (S-91)."""
    digest = hashlib.sha256()
    facts = [name, "addon" if addon else "top_level", version, sha256, signature, str(attempt)]
    facts += [part for pair in sorted(headers.items()) for part in pair]
    for fact in facts:
        encoded = fact.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return digest.hexdigest()


def set_hash(packages: Iterable[tuple[str, str]]) -> str:
    """Over names and hashes of all packages of an agent; that of none is a hash too (S-89)."""
    digest = hashlib.sha256(b"packages")
    for name, hashed in sorted(packages):
        encoded = name.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded + bytes.fromhex(hashed))
    return digest.hexdigest()


NOTHING = set_hash(())


def best_platform(platforms: Iterable[tuple[str, str]], *, os_type: str, architecture: str) -> tuple[str, str] | None:
    """Of platforms (``""`` is any) the closest that fits; the operating system counts more than the architecture."""
    fitting = [
        platform
        for platform in platforms
        if platform[0] in ("", os_type.lower()) and platform[1] in ("", architecture.lower())
    ]
    return max(fitting, key=lambda platform: (bool(platform[0]), bool(platform[1])), default=None)
