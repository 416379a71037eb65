"""What can be refused about packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from foundation.errors import Category, DomainError
from foundation.messages import Message


class InvalidPackage(DomainError):
    """What was sent cannot be saved. ``errors`` maps a field to its messages, ours or Django's."""

    def __init__(self, errors: Mapping[str, Sequence[Message | str]]) -> None:
        super().__init__(Message("invalid-package", "The package is not valid."))
        self.errors = {name: list(texts) for name, texts in errors.items()}

    def __str__(self) -> str:
        return "; ".join(f"{name}: {' '.join(map(str, texts))}" for name, texts in self.errors.items())


class FileTooLarge(DomainError):
    """A file is larger than the setting allows; nothing of it was kept."""

    category = Category.TOO_LARGE


class PackageInUse(DomainError):
    """Agents should have it, or it is being released."""

    category = Category.CONFLICT


class VersionIsFixed(DomainError):
    """It was released, so that its files are what agents have."""

    category = Category.CONFLICT


class NothingToRelease(DomainError):
    """It has no file, or is released to everybody already."""

    category = Category.CONFLICT


class NothingToInstall(DomainError):
    """No installation of the agent failed."""

    category = Category.CONFLICT


class PackageChanged(DomainError):
    """Somebody else edited it meanwhile."""

    category = Category.OUTDATED


class NoSuchFile(DomainError):
    """There is no such version, or no file of it for this platform."""

    category = Category.NOT_FOUND


class StoreAway(DomainError):
    """The store cannot be reached; nothing was changed."""

    category = Category.UNAVAILABLE
