"""Pruning now, as a job: what the leading process does every ten minutes, and ``manage.py prune`` at once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from accounts.models import User
from agents.services import retention
from foundation.errors import Category, DomainError
from foundation.messages import Message
from jobs.kinds import JobKind, Slice, register_job_kind
from jobs.models import Job
from jobs.services.starting import start_job

KIND = "agents.prune"
RIGHT = "agents.delete_agent"


class ClockInDoubt(DomainError):
    """Nothing is deleted by a clock that is behind what it has written."""

    category = Category.CONFLICT

    def __init__(self) -> None:
        super().__init__(Message("clock-in-doubt", "Nothing is pruned: the clock is behind the newest event."))


def start_pruning(by: User) -> Job:
    """One at a time: while one is under way, that one. Raises what `start_job` does."""
    return start_job(KIND, by=by, key=KIND)


def register() -> None:
    """In ``AppConfig.ready``."""
    register_job_kind(JobKind(KIND, Message("job-prune", "Prune what is kept no longer"), _prune_some, right=RIGHT))


def _prune_some(_job: Job, cursor: Any, now: datetime) -> Slice:
    """One small transaction. ``cursor``: the word of the kind of rows that is pruned now."""
    if retention.is_clock_behind(now):
        raise ClockInDoubt
    kinds = {kind.value: kind for kind in retention.pruned_kinds()}
    words = list(kinds)
    first = words.index(cursor) if cursor in kinds else 0
    for word in words[first:]:
        deleted = next(retention.prune(kinds[word], at=now), 0)
        if deleted:
            return Slice(done=deleted, cursor=word)
    return Slice()
