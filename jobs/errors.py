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


class JobTaken(Exception):
    """Another task has the job by now: what this one did counts nothing."""


class NoUseTrying(DomainError):
    """A slice failed, and would fail whenever it is tried again: the job has failed."""


class NoJobFile(DomainError):
    """The job makes no file, or has not made it yet."""

    category = Category.NOT_FOUND


class JobFileGone(DomainError):
    """There was a file, and it was taken away."""

    category = Category.GONE


class FileStoreAway(DomainError):
    """Files can neither be written nor read now."""

    category = Category.UNAVAILABLE


class TooManyFiles(DomainError):
    """The person has enough made at a time."""

    category = Category.CONFLICT
