"""What can be refused about connection settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from foundation.errors import Category, DomainError
from foundation.messages import Message


class InvalidSettings(DomainError):
    """What was sent cannot be saved. ``errors`` maps a field, such as ``content.opamp.endpoint``, to its messages."""

    def __init__(self, errors: Mapping[str, Sequence[Message | str]]) -> None:
        super().__init__(Message("invalid-connection-settings", "The connection settings are not valid."))
        self.errors = {name: list(texts) for name, texts in errors.items()}

    def __str__(self) -> str:
        return "; ".join(f"{name}: {' '.join(map(str, texts))}" for name, texts in self.errors.items())


class SettingsInUse(DomainError):
    """Agents should have them, or they are being rolled out."""

    category = Category.CONFLICT


class SettingsChanged(DomainError):
    """Somebody else edited them meanwhile."""

    category = Category.OUTDATED


class NoReleaseNeeded(DomainError):
    """The version is released to everybody already."""

    category = Category.CONFLICT


class NothingToTell(DomainError):
    """The agent has all that it should have, or takes none of it."""

    category = Category.CONFLICT


class NoMove(DomainError):
    """The settings name no endpoint to move to, or the one they had already."""

    category = Category.CONFLICT


class NoSuchVersion(DomainError):
    """There is no version with this number."""

    category = Category.NOT_FOUND
