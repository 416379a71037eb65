"""The worker within the server: the library's own, a task at a time.

It runs in the leading process alone, as a chore in a thread of its own: SQLite has one writer, and on PostgreSQL one slice
at a time is what a database bears beside a fleet that reports. Whoever needs more starts ``manage.py db_worker`` as often
as wanted: a task is taken by one of them.
"""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from django_tasks import DEFAULT_TASK_BACKEND_ALIAS, DEFAULT_TASK_QUEUE_NAME
from django_tasks_db.management.commands.db_worker import Worker
from django_tasks_db.models import DBTaskResult

IDLE_SECONDS = 1.0
_WORKER_ID = f"serve-{uuid4().hex}"


def work_once(_at: datetime) -> int:
    """Run one task, if any is due; returns how many."""
    # The library's own look locks the whole of an SQLite file each time.
    if not DBTaskResult.objects.ready().filter(backend_name=DEFAULT_TASK_BACKEND_ALIAS).exists():
        return 0
    Worker(
        queue_names=[DEFAULT_TASK_QUEUE_NAME],
        excluded_queue_names=[],
        interval=0,
        batch=True,
        backend_name=DEFAULT_TASK_BACKEND_ALIAS,
        startup_delay=False,
        max_tasks=1,
        worker_id=_WORKER_ID,
    ).run()
    return 1
