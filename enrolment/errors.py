"""What the services of enrolment refuse. It must not know any model."""

from __future__ import annotations

from foundation.errors import Category, DomainError
from foundation.messages import Message


class InvalidToken(DomainError):
    """What was asked for is no enrolment token; ``field`` names the member that is wrong."""

    def __init__(self, field: str, message: Message) -> None:
        super().__init__(message)
        self.field = field


class TokenNameTaken(InvalidToken):
    """Another token has this name."""

    category = Category.CONFLICT


class AlreadyRevoked(DomainError):
    """It was revoked before."""

    category = Category.CONFLICT


class NotPending(DomainError):
    """The agent does not wait for what was decided."""

    category = Category.CONFLICT
