"""`DomainError`: a request that a service cannot meet, as a message and a category. Pure; it must not know who answers it."""

from __future__ import annotations

import enum
from typing import ClassVar

from foundation.messages import Message


class Category(enum.Enum):
    """What kind of refusal it is; REST has a status for each."""

    INVALID = "invalid"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not found"
    CONFLICT = "conflict"
    OUTDATED = "outdated"
    REFUSED_BY_AGENTS = "refused by agents"
    TOO_LARGE = "too large"
    UNAVAILABLE = "unavailable"
    GONE = "gone"


class DomainError(Exception):
    """``message`` says to people what is wrong and what to do; `str()` is its English text."""

    category: ClassVar[Category] = Category.INVALID

    def __init__(self, message: Message) -> None:
        super().__init__(message)
        self.message = message

    @property
    def code(self) -> str:
        """The stable code for programs."""
        return self.message.problem_code
