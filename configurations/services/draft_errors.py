"""What work on a saved draft can be refused for."""

from __future__ import annotations

from datetime import UTC, datetime

from accounts.models import User
from configurations.masked_values import masked_values
from configurations.services.drafts import Draft, InvalidConfiguration, blocking, field_of
from configurations.services.forcing import refuse_force
from foundation.errors import Category, DomainError
from foundation.messages import Message


class StaleDraft(DomainError):
    """Somebody saved the draft since; nothing of this edit was saved."""

    category = Category.OUTDATED

    def __init__(self, *, by: str, at: datetime) -> None:
        super().__init__(
            Message(
                "stale-draft",
                "{author} saved this draft at {time}: look at what is in it now, then save again, or save a draft of your own.",
                author=by,
                time=f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
            )
        )


class DraftGone(DomainError):
    """There is no such draft any more, or there never was."""

    category = Category.NOT_FOUND

    def __init__(self) -> None:
        super().__init__(Message("draft-gone", "There is no such draft: somebody may have published or discarded it."))


class DraftOutdated(DomainError):
    """The configuration was edited or deleted since the draft began; nothing was published."""

    category = Category.CONFLICT


class TooManyDrafts(DomainError):
    """One name has as many drafts as are kept."""

    category = Category.CONFLICT

    def __init__(self, name: str, most: int) -> None:
        super().__init__(
            Message(
                "too-many-drafts",
                "{name} has {most} open drafts, and no more are kept: publish or discard one of them.",
                name=name,
                most=most,
            )
        )


def base_moved_on(*, base: int, present: int, author: str) -> DraftOutdated:
    """The refusal to publish over a state that nobody has compared the draft with."""
    if base == present:
        return DraftOutdated(
            Message(
                "draft-base-edited",
                "The name or description of the configuration was edited after this draft began: take over its present "
                "state as the base, then publish.",
            )
        )
    return DraftOutdated(
        Message(
            "draft-outdated",
            "This draft is based on revision {base}, but {author} published revision {present} since: look at what changed, "
            "take over revision {present} as the base, then publish.",
            base=base,
            present=present,
            author=author,
        )
    )


def configuration_deleted(name: str) -> DraftOutdated:
    """The refusal to publish the draft of a configuration that is gone."""
    return DraftOutdated(
        Message(
            "draft-of-deleted-configuration",
            "The configuration {name} was deleted after this draft began: take over the present state as the base, then "
            "publish it as a new configuration.",
            name=name,
        )
    )


class ValuesMasked(InvalidConfiguration):
    """In what was adopted stand placeholders where an agent, or the portal, hides values; nothing was published."""

    category = Category.REFUSED_BY_AGENTS

    @staticmethod
    def said(*, can_be_forced: bool) -> Message:
        """What was refused, as a whole."""
        return Message(
            "values-are-masked",
            "Placeholders stand in it where values are hidden: type the values, or save it as a draft and publish it when they are "
            "there.",
        )


def refuse_masked(wanted: Draft, *, by: User | None, force: bool) -> None:
    """Raises `ValuesMasked` for an adopted draft, its texts true, that lacks values; `MayNotForce` for who may not force it."""
    masked = masked_values(wanted.files)
    if force:
        refuse_force(masked, by)
    elif masked:
        errors: dict[str, list[Message | str]] = {}
        for item in masked:
            errors.setdefault(field_of(item.file, wanted), []).append(blocking(item))
        raise ValuesMasked(errors, masked, can_be_forced=True)
