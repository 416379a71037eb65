"""The one task there is: a slice of a job. Everything else about jobs stands in their rows."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django_tasks import TaskContext, task

from jobs.kinds import Queue, kind_named
from jobs.models import Job


@task(takes_context=True)
def run_job(context: TaskContext, job_id: int) -> None:
    """Run the next slice of the job, if this task is the one that may."""
    from jobs.services.running import run_next_slice

    run_next_slice(job_id, UUID(context.task_result.id))


def enqueue(job: Job, at: datetime) -> None:
    """Have a worker take ``job`` at that time.

    In the caller's transaction, who saves ``task_id``, ``run_after`` and
    ``lease_until``.
    """
    job.run_after, job.lease_until = at, None
    # A time always: the library takes tasks without one last, whenever they were enqueued.
    kind = kind_named(job.kind)
    queue = kind.queue if kind else Queue.PORTAL
    job.task_id = UUID(run_job.using(run_after=at, queue_name=queue.value).enqueue(job.pk).id)
