"""What a job can be refused for."""

from __future__ import annotations

from foundation.errors import Category, DomainError


class InvalidJob(DomainError):
    """What was asked for cannot be a job; the text says why."""


class NotAllowed(DomainError):
    """The person may not have such work done."""

    category = Category.FORBIDDEN


class WrongJobState(DomainError):
    """The job is in a state in which that cannot be done."""

    category = Category.CONFLICT
