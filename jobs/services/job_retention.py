"""What of jobs is kept no longer: those that ended long ago, with their results, and the tasks of the library."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django_tasks_db.models import DBTaskResult

from jobs.models import Job, JobResult

# A task is a slice, of which the job keeps what matters; the library never deletes one.
_TASKS_KEPT = timedelta(days=1)


def overdue_jobs(at: datetime) -> QuerySet[Any]:
    """Those that ended before the time that is kept; results go with them. None with 0 days, which keeps them for ever."""
    days = settings.JOBS_KEPT_DAYS
    return Job.objects.filter(ended_at__lt=at - timedelta(days=days)) if days else Job.objects.none()


def overdue_results(at: datetime) -> QuerySet[Any]:
    """Those of jobs that are overdue: a job may have very many, so they go before it, some at a time."""
    return JobResult.objects.filter(job__in=overdue_jobs(at))


def overdue_tasks(at: datetime) -> QuerySet[Any]:
    """Tasks that are over, or whose worker died."""
    limit = at - _TASKS_KEPT
    return DBTaskResult.objects.filter(Q(finished_at__lt=limit) | Q(finished_at=None, started_at__lt=limit))
