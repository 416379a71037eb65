"""Jobs whose worker died, those whose task was lost, and those that wait by a clock that was put back: enqueued again."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django_tasks import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from foundation.messages import Message
from foundation.topics import tell_changed
from jobs.kinds import FARTHEST
from jobs.models import Job
from jobs.services.ending import end_job
from jobs.services.queue import enqueue

logger = logging.getLogger(__name__)

RESCUE_SECONDS = 10.0
# So often a worker may die over a job before the job is taken for the reason.
MOST_LOST = 5
# A task that should have been taken so long ago is looked for.
_OVERDUE = timedelta(seconds=60)
_AT_ONCE = 100


def rescue_jobs(at: datetime) -> int:
    """Enqueue lost jobs again, and those that wait by a clock that was put back; end those that were being cancelled.

    Returns how many there were.
    """
    expired = Q(lease_until__lt=at) | Q(lease_until__gt=at + FARTHEST)
    overdue = Q(lease_until=None) & (Q(run_after__lt=at - _OVERDUE) | Q(run_after__gt=at + FARTHEST))
    found = Job.objects.live().filter(expired | overdue).order_by("run_after").values_list("pk", flat=True)
    return sum(_rescue(key, at) for key in list(found[:_AT_ONCE]))


def _rescue(key: int, at: datetime) -> bool:
    with transaction.atomic():
        job = Job.objects.select_for_update().live().filter(pk=key).first()
        if job is None:
            return False
        if job.lease_until is None:
            # Whoever is slow, or has no worker at all, still has a task that waits.
            waits = (
                job.task_id is not None
                and DBTaskResult.objects.filter(pk=job.task_id, status=TaskResultStatus.READY).exists()
            )
            if job.run_after <= at + FARTHEST and (job.run_after >= at - _OVERDUE or waits):
                return False
        elif at <= job.lease_until <= at + FARTHEST:
            return False
        else:
            job.lost += 1
        logger.warning("a job was lost and is taken again", extra={"job": job.pk, "kind": job.kind, "lost": job.lost})
        if job.state == Job.State.CANCELLING:
            end_job(job, Job.State.CANCELLED, at)
        elif job.lost > MOST_LOST:
            said = Message("job-lost", "The process that worked on the job died {count} times.", count=job.lost)
            job.error = said.as_json()
            end_job(job, Job.State.FAILED, at)
        else:
            enqueue(job, at)
        job.save()
        tell_changed("jobs.job", job.pk)
        return True
