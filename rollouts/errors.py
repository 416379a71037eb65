"""What a rollout can be refused for."""

from __future__ import annotations

from foundation.errors import Category, DomainError
from foundation.messages import Message


class InvalidPolicy(DomainError):
    """What was given says not how to roll out; the text says what is wrong where."""


class RolloutRunning(DomainError):
    """Another rollout of the same thing has not ended; it can be replaced, if that is meant."""

    category = Category.CONFLICT

    def __init__(self, *, rollout_id: int, name: str, state: str) -> None:
        self.rollout_id = rollout_id
        super().__init__(
            Message(
                "rollout-running",
                "Rollout {number} of {name} has not ended ({state}): wait for it, end it, or have it replaced.",
                number=rollout_id,
                name=name,
                state=state,
            )
        )


class NotPossible(DomainError):
    """The rollout is in a state in which that cannot be done."""

    category = Category.CONFLICT


class SamePerson(DomainError):
    """Whoever started a rollout does not approve it."""

    category = Category.FORBIDDEN


class FreezeRefused(DomainError):
    """There is such a freeze already, or there are too many."""

    category = Category.CONFLICT


class NotFrozen(DomainError):
    """What should go on is not held."""

    category = Category.CONFLICT
