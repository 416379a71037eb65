"""What open pages about jobs listen to: one's own jobs, and to administrators everybody's, as everywhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from foundation.topics import Topic, personal_key, register_topic
from jobs.models import Job

JOB = "jobs.job"


def whose(rows: Collection[str], _wanted: Collection[str]) -> Iterable[str]:
    """Those whose jobs these are; of jobs that are gone administrators alone."""
    return {personal_key(None), *(personal_key(owner) for _key, owner in _owners(rows) if owner is not None)}


def which(rows: Collection[str], _wanted: Collection[str]) -> Iterable[str]:
    """Each of them, for its owner and for administrators."""
    for key, owner in _owners(rows):
        yield personal_key(None, str(key))
        if owner is not None:
            yield personal_key(owner, str(key))


def _owners(rows: Collection[str]) -> Iterable[tuple[int, int | None]]:
    return Job.objects.filter(pk__in=rows).order_by().values_list("pk", "started_by")


def register() -> None:
    """Called when Django is ready."""
    register_topic(Topic("jobs", "", {JOB: whose}, personal=True))
    register_topic(Topic("job", "", {JOB: which}, keyed=True, personal=True))
