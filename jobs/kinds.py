"""The kinds of jobs there are: the registry that apps fill in ``AppConfig.ready``. No kind is known here.

A job is worked on in *slices*: each does a bounded piece (a second, some hundred rows) and says where the next one begins. A
slice may be done twice, after a crash for instance, so it is idempotent; or it is `atomic`, and what it did is undone
with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from foundation.messages import Message
from jobs.models import Job
from jobs.outcomes import Outcome

# After so many failed slices in a row the job has failed.
ATTEMPTS = 5
# Longer than any slice takes: a worker that is silent for so long is taken for dead.
LEASE = timedelta(seconds=60)
# No slice is put off for longer, and no lease lasts longer: a time further ahead is that of a clock that was put back since.
FARTHEST = timedelta(hours=2)


class Queue(StrEnum):
    """Queues of tasks, each with threads of its own in the server and in ``manage.py db_worker``.

    What waits for the servers of others, which may never answer, holds up only its like.
    """

    PORTAL = "default"
    OUTGOING = "outgoing"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of ``item``: an identifier, such as a uid; ``name`` is what people call it, ``message`` says why."""

    item: str
    outcome: Outcome
    message: Message | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Slice:
    """What a slice did.

    ``results`` count by themselves; ``done`` is how many items were done beside them, without a row of their own.
    ``cursor`` is what the next slice gets (JSON), ``None`` when there is none; it begins ``again_in`` later (`FARTHEST`
    at most), at once without. ``total`` corrects the job's.
    """

    done: int = 0
    results: Sequence[Result] = ()
    cursor: Any = None
    again_in: timedelta | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class JobKind:
    """One kind of job.

    ``run_slice`` gets the job, the cursor of the slice before (``None`` at first) and the time. When it raises, the slice
    is tried again with growing pauses, up to ``attempts`` times in a row; then the job has failed. ``right`` is what the
    person needs who starts it, and still has with each slice; without one only the portal starts it. ``lease`` is longer
    than a slice ever takes. One whose slices wait for servers of others is in the ``queue`` of those that do.
    """

    name: str
    title: Message
    run_slice: Callable[[Job, Any, datetime], Slice]
    right: str = ""
    attempts: int = ATTEMPTS
    lease: timedelta = LEASE
    atomic: bool = False
    queue: Queue = Queue.PORTAL


_registered: dict[str, JobKind] = {}


def register_job_kind(kind: JobKind) -> None:
    """Have such jobs run; a second registration of the same name replaces the first. In ``AppConfig.ready``."""
    _registered[kind.name] = kind


def kind_named(name: str) -> JobKind | None:
    """The kind, ``None`` when no app has it (any more)."""
    return _registered.get(name)


def registered_kinds() -> tuple[JobKind, ...]:
    """All of them, in the order of their registration."""
    return tuple(_registered.values())
