"""What people, and other services, do with jobs: start, cancel, retry. Audited, in one transaction each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from accounts import services as accounts
from accounts.models import User
from foundation.clock import clock
from foundation.errors import Category, DomainError
from foundation.messages import Message
from foundation.topics import tell_changed
from jobs.errors import InvalidJob, NotAllowed, WrongJobState
from jobs.kinds import JobKind, kind_named
from jobs.models import PART, Job, JobPart
from jobs.services.ending import end_job
from jobs.services.job_files import begin_anew
from jobs.services.queue import enqueue

# Characters of the parameters as JSON.
MOST_PARAMETERS = 65_536
MOST_KEY = 200
# An agent's key each; above the largest fleet that one portal is made for.
MOST_ITEMS = 1_000_000


class UnknownJob(DomainError):
    """The job is gone, or never was."""

    category = Category.NOT_FOUND

    def __init__(self) -> None:
        super().__init__(Message("no-such-job", "There is no such job."))


@transaction.atomic
def start_job(
    kind: str,
    *,
    by: User | None,
    parameters: Mapping[str, Any] | None = None,
    total: int | None = None,
    items: Sequence[Any] | None = None,
    run_after: datetime | None = None,
    key: str = "",
    title: Message | None = None,
) -> Job:
    """Have work of ``kind`` done soon, or from ``run_after`` on (`FARTHEST` away at most); in the caller's transaction, if any.

    ``parameters`` are JSON; ``items``, which `Job.items_from` reads, are what it is about, in order, and their number is
    the ``total``. A live job of the same kind with this ``key`` is returned instead of a second one. Raises `InvalidJob`,
    and `NotAllowed` when ``by`` lacks the kind's right; ``None`` is the portal itself.
    """
    known, now = known_kind(kind), clock.now()
    must_be_allowed(known, by)
    _check(parameters, items, key)
    wanted = Job(
        kind=kind,
        title=(title or known.title).as_json(),
        key=key,
        parameters=dict(parameters or {}),
        started_by=by,
        started_by_name=by.get_username() if by else accounts.SYSTEM,
        of_portal=by is None,
        total=len(items) if items is not None else total,
        run_after=run_after or now,
        created_at=now,
    )
    try:
        with transaction.atomic():
            wanted.save()
    except IntegrityError:
        live = Job.objects.live().filter(kind=kind, key=key).first()
        if live is None:
            raise
        return live
    places = range(0, len(items or ()), PART)
    JobPart.objects.bulk_create(
        JobPart(job=wanted, first=at, items=list((items or ())[at : at + PART])) for at in places
    )
    enqueue(wanted, wanted.run_after)
    wanted.save(update_fields=["task_id"])
    tell_changed("jobs.job", wanted.pk)
    if by is not None:
        _record(wanted, by, "job.start", total=wanted.total)
    return wanted


@transaction.atomic
def cancel_job(job_id: int, *, by: User | None) -> Job:
    """End it: at once, or after the slice that runs now.

    What was done stays. Raises `UnknownJob`, `WrongJobState` when it
    has ended.
    """
    job = _locked(job_id)
    if job.state == Job.State.CANCELLING:
        return job
    if not job.is_live:
        raise WrongJobState(Message("job-has-ended", "The job has ended already."))
    if job.lease_until is not None:
        job.state = Job.State.CANCELLING
    else:
        end_job(job, Job.State.CANCELLED, clock.now())
    job.save(update_fields=["state", "ended_at", "task_id"])
    _record(job, by, "job.cancel", handled=job.handled)
    return job


@transaction.atomic
def retry_job(job_id: int, *, by: User | None) -> Job:
    """Go on where a failed or cancelled job stopped. Raises `UnknownJob`, `WrongJobState`."""
    job = _locked(job_id)
    if job.state not in {Job.State.FAILED, Job.State.CANCELLED}:
        raise WrongJobState(Message("job-not-stopped", "Only a job that failed or was cancelled can go on."))
    job.state, job.ended_at, job.error, job.attempt, job.lost = Job.State.WAITING, None, None, 0, 0
    begin_anew(job)
    enqueue(job, clock.now())
    try:
        with transaction.atomic():
            job.save()
    except IntegrityError as error:
        # `one_live_job_per_key` knows also what is started at this moment.
        raise WrongJobState(Message("job-has-successor", "Another job does the same already.")) from error
    _record(job, by, "job.retry", handled=job.handled)
    return job


def must_be_allowed(kind: JobKind, by: User | None) -> None:
    """Raises `NotAllowed`; ``None`` is the portal itself, which may."""
    if by is not None and not (kind.right and by.is_active and by.has_perm(kind.right)):
        raise NotAllowed(Message("job-not-allowed", "{person} may not have this done.", person=by.get_username()))


def known_kind(name: str) -> JobKind:
    """Raises `InvalidJob`."""
    kind = kind_named(name)
    if kind is None:
        raise InvalidJob(Message("no-such-job-kind", "There is no such kind of job: {kind}.", kind=name[:60]))
    return kind


def _check(parameters: Mapping[str, Any] | None, items: Sequence[Any] | None, key: str) -> None:
    try:
        size = len(json.dumps(dict(parameters or {}), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidJob(Message("job-parameters-unreadable", "The parameters of the job are no JSON.")) from error
    if size > MOST_PARAMETERS or len(key) > MOST_KEY or len(items or ()) > MOST_ITEMS:
        raise InvalidJob(Message("job-too-large", "That is more than one job can be about."))


def _locked(job_id: int) -> Job:
    job = Job.objects.select_for_update().filter(pk=job_id).first()
    if job is None:
        raise UnknownJob
    return job


def _record(job: Job, by: User | None, verb: str, **data: Any) -> None:
    accounts.record(by=by, verb=verb, target=job, name=str(job.title_message), data={"kind": job.kind, **data})
