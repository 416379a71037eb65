"""The workers within the server: the library's own, a task at a time, one for each queue and a few for what waits for others.

They run in the leading process alone, as chores in threads of their own: SQLite has one writer, and on PostgreSQL one slice
at a time is what a database bears beside a fleet that reports. Whoever needs more starts ``manage.py db_worker`` as often
as wanted: a task is taken by one of them.
"""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from django_tasks import DEFAULT_TASK_BACKEND_ALIAS
from django_tasks_db.management.commands.db_worker import Worker
from django_tasks_db.models import DBTaskResult

from jobs.kinds import Queue

IDLE_SECONDS = 1.0
# So many servers of others may keep silent at a time before a notice to another one waits for them.
OUTGOING_THREADS = 3
_WORKER_ID = f"serve-{uuid4().hex}"


def work_once(_at: datetime, queue: Queue = Queue.PORTAL) -> int:
    """Run one task of ``queue``, if any is due; returns how many."""
    # The library's own look locks the whole of an SQLite file each time.
    due = DBTaskResult.objects.ready().filter(backend_name=DEFAULT_TASK_BACKEND_ALIAS, queue_name=queue.value)
    if not due.exists():
        return 0
    worker_of(queue, batch=True, max_tasks=1).run()
    return 1


def call_out_once(at: datetime) -> int:
    """The same of what waits for servers of others."""
    return work_once(at, Queue.OUTGOING)


def worker_of(queue: Queue, *, batch: bool = False, max_tasks: int | None = None, interval: float = 0) -> Worker:
    """The library's worker of one queue."""
    return Worker(
        queue_names=[queue.value],
        excluded_queue_names=[],
        interval=interval,
        batch=batch,
        backend_name=DEFAULT_TASK_BACKEND_ALIAS,
        startup_delay=False,
        max_tasks=max_tasks,
        worker_id=_WORKER_ID,
    )
