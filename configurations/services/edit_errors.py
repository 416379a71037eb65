"""What an edit or a release of a configuration can be refused for, beside what was sent being wrong in itself."""

from __future__ import annotations

from configurations.services.drafts import InvalidConfiguration
from foundation.errors import Category, DomainError
from foundation.messages import Message


class NameTaken(InvalidConfiguration):
    """Another configuration has this name."""

    category = Category.CONFLICT

    @staticmethod
    def said(*, can_be_forced: bool) -> Message:
        """What was refused."""
        return Message("name-taken", "The name is taken.")


class StaleRevision(DomainError):
    """The edit is based on an older revision than the present one; nothing was saved."""

    category = Category.CONFLICT

    def __init__(self, *, expected: int, current: int) -> None:
        super().__init__(
            Message(
                "stale-revision",
                "This edit is based on revision {expected}, but revision {current} is the present one: "
                "look at what changed, then edit again.",
                expected=expected,
                current=current,
            )
        )


class StaleEdition(DomainError):
    """Somebody edited the configuration since, be it only its description; nothing was saved."""

    category = Category.OUTDATED

    def __init__(self) -> None:
        super().__init__(
            Message(
                "stale-edition", "Somebody edited the configuration meanwhile: look at what changed, then edit again."
            )
        )


class UnknownRevision(DomainError):
    """The configuration has no revision of that number."""

    category = Category.NOT_FOUND

    def __init__(self, name: str, number: int) -> None:
        super().__init__(
            Message("unknown-revision", "The configuration {name} has no revision {number}.", name=name, number=number)
        )


class AlreadyReleased(DomainError):
    """A revision is released once; what it says can be released again as a new revision."""

    category = Category.CONFLICT


class ReleaseUnfinished(DomainError):
    """Revisions are in force side by side, so that it is not known which one a change of values should go on with."""

    category = Category.CONFLICT


class StillPinned(DomainError):
    """Agents are pinned to what was to be deleted."""

    category = Category.CONFLICT


class PinRefused(DomainError):
    """No agent can be pinned to this; the text says why."""

    category = Category.CONFLICT


class UnknownConfiguration(DomainError):
    """There is no configuration of the name that was given."""

    def __init__(self, name: str) -> None:
        super().__init__(Message("no-such-configuration", "There is no configuration named {name}.", name=repr(name)))
