"""What can be refused about alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from foundation.errors import Category, DomainError
from foundation.messages import Message


class InvalidAlerting(DomainError):
    """What was sent of a rule, a silence or a receiver cannot be saved. ``errors`` maps a field to its messages."""

    def __init__(self, errors: Mapping[str, Sequence[Message | str]]) -> None:
        super().__init__(Message("invalid-alerting", "What was sent is not valid."))
        self.errors = {name: list(texts) for name, texts in errors.items()}

    def __str__(self) -> str:
        return "; ".join(f"{name}: {' '.join(map(str, texts))}" for name, texts in self.errors.items())


class NotNow(DomainError):
    """It is over, done already, or used by something."""

    category = Category.CONFLICT


class ChangedMeanwhile(DomainError):
    """Somebody else edited it."""

    category = Category.OUTDATED


class CannotDeliver(Exception):
    """An attempt failed: ``message`` says why, ``status`` is what the receiver answered, ``lasting`` that trying again is no use.

    ``retry_after`` is what the receiver asked for (seconds).
    """

    def __init__(
        self, message: Message, *, status: int | None = None, lasting: bool = False, retry_after: float = 0.0
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.lasting = lasting
        self.retry_after = retry_after
