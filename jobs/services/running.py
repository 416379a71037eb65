"""One slice of a job: claimed, run, booked. What it did counts once: whoever lost the job in the meantime books nothing.

The job's row is locked last, after whatever the slice locks, and never while the slice waits for something.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Coalesce

from foundation.clock import clock
from foundation.errors import DomainError
from foundation.messages import Message
from foundation.topics import tell_changed
from jobs.errors import JobTaken, NoUseTrying
from jobs.kinds import JobKind, Result, Slice, kind_named
from jobs.models import Job, JobResult
from jobs.outcomes import Outcome
from jobs.services.ending import end_job
from jobs.services.job_files import finish_file
from jobs.services.queue import enqueue

logger = logging.getLogger(__name__)

# Rows of results of one job; those that say that all went well leave room for the others.
MOST_RESULTS = 20_000
_MOST_GOOD_RESULTS = 10_000
# Characters of each text that a message has of others.
_MOST_TEXT = 1_000
_FIRST_PAUSE = timedelta(seconds=5)
_LONGEST_PAUSE = timedelta(minutes=5)


def run_next_slice(job_id: int, task_id: UUID) -> None:
    """Run the next slice as ``task_id``.

    Nothing when that is not the job's task any more. Raises only what the database
    raises.
    """
    job = _claim(job_id, task_id)
    if job is None:
        return
    kind = kind_named(job.kind)
    if kind is None:
        _fail(job, Message("job-kind-gone", "This version of the portal does not know this kind of job."))
        return
    if not _still_allowed(job, kind):
        _fail(job, Message("job-right-lost", "Whoever started the job may not have this done any more."))
        return
    try:
        with transaction.atomic() if kind.atomic else nullcontext():
            made = kind.run_slice(job, job.cursor, clock.now())
            _book(job, made)
    except JobTaken:
        logger.warning("a job was taken from its worker", extra={"job": job.pk, "kind": job.kind})
    except NoUseTrying as error:
        _fail(job, error.message)
    except Exception as error:  # whatever a kind raises is the job's business, and the next one's slice comes
        logger.warning("a slice of a job failed", extra={"job": job.pk, "kind": job.kind}, exc_info=True)
        _note_failure(job, kind, error)


def _claim(job_id: int, task_id: UUID) -> Job | None:
    """Take the lease."""
    now = clock.now()
    mine = Job.objects.filter(pk=job_id, task_id=task_id)
    known = mine.only("kind").first()
    kind = kind_named(known.kind) if known else None
    until = now + (kind.lease if kind else timedelta(seconds=60))
    free = mine.filter(state__in=(Job.State.WAITING, Job.State.RUNNING), lease_until=None)
    if not free.update(state=Job.State.RUNNING, lease_until=until, began_at=Coalesce("began_at", now)):
        return None
    tell_changed("jobs.job", job_id)
    return mine.select_related("started_by").first()


def _still_allowed(job: Job, kind: JobKind) -> bool:
    """A person may be switched off, or lose a right, while a long job runs; one who was deleted has none."""
    if job.of_portal or job.started_by is None:
        return job.of_portal
    return bool(job.started_by.is_active and kind.right and job.started_by.has_perm(kind.right))


def _held(job: Job) -> Job:
    """The row under lock, in the caller's transaction. Raises `JobTaken`."""
    row = Job.objects.select_for_update().filter(pk=job.pk, task_id=job.task_id).first()
    if row is None:
        raise JobTaken
    return row


def _book(job: Job, made: Slice) -> None:
    with transaction.atomic():
        row, now = _held(job), clock.now()
        counts = Counter(result.outcome for result in made.results)
        row.done += made.done + counts[Outcome.DONE]
        row.skipped += counts[Outcome.SKIPPED]
        row.failed += counts[Outcome.FAILED]
        row.cursor, row.attempt, row.error = made.cursor, 0, None
        if made.total is not None:
            row.total = made.total
        _keep(row, made.results)
        if made.cursor is None:
            end_job(row, Job.State.DONE, now)
            finish_file(row, now)
        elif row.state == Job.State.CANCELLING:
            end_job(row, Job.State.CANCELLED, now)
        else:
            enqueue(row, now + (made.again_in or timedelta()))
        row.save()
        tell_changed("jobs.job", row.pk)


def _keep(row: Job, results: Sequence[Result]) -> None:
    if not results:
        return
    kept = row.results.count()
    rows: list[JobResult] = []
    for result in results:
        room = _MOST_GOOD_RESULTS if result.outcome == Outcome.DONE else MOST_RESULTS
        if kept + len(rows) < room:
            message = message_kept(result.message).as_json() if result.message else None
            rows.append(
                JobResult(
                    job=row,
                    item=_text(result.item)[:200],
                    name=_text(result.name)[:255],
                    outcome=result.outcome,
                    message=message,
                )
            )
    JobResult.objects.bulk_create(rows)


def _note_failure(job: Job, kind: JobKind, error: Exception) -> None:
    """Try the slice again later, or give the job up."""
    said = message_kept(reason_of(error))
    with transaction.atomic():
        try:
            row = _held(job)
        except JobTaken:
            return
        row.attempt, row.error = row.attempt + 1, said.as_json()
        if row.state == Job.State.CANCELLING:
            end_job(row, Job.State.CANCELLED, clock.now())
        elif row.attempt >= kind.attempts:
            end_job(row, Job.State.FAILED, clock.now())
        else:
            enqueue(row, clock.now() + min(_FIRST_PAUSE * 2 ** (row.attempt - 1), _LONGEST_PAUSE))
        row.save()
        tell_changed("jobs.job", row.pk)


def _fail(job: Job, said: Message) -> None:
    with suppress(JobTaken), transaction.atomic():
        row = _held(job)
        row.error = message_kept(said).as_json()
        end_job(row, Job.State.FAILED, clock.now())
        row.save()
        tell_changed("jobs.job", row.pk)


def _text(text: str) -> str:
    # PostgreSQL stores none.
    return text.replace("\x00", "\ufffd")


def message_kept(message: Message) -> Message:
    """With texts that a row bears, whoever they are from."""
    return message.with_texts(lambda text: _text(text)[:_MOST_TEXT])


def reason_of(error: Exception) -> Message:
    """What people are told: of a mistake of ours only its class, since its text may hold anything."""
    if isinstance(error, DomainError):
        return error.message
    return Message("job-error", "An error of the portal ({error}); its log says more.", error=type(error).__name__)
