"""``manage.py db_worker``: the library's worker, with a second one beside it for what waits for servers of others."""

from __future__ import annotations

import os
import threading
from argparse import ArgumentParser
from typing import Any

from django.db import connection
from django.utils.autoreload import DJANGO_AUTORELOAD_ENV
from django_tasks_db.management.commands.db_worker import Command as LibraryCommand
from django_tasks_db.management.commands.db_worker import Worker
from django_tasks_db.models import DBTaskResult

from jobs.job_worker import worker_of
from jobs.kinds import Queue

# Longer than one attempt to reach a server takes (seconds).
_FAREWELL = 60.0


class Command(LibraryCommand):
    """Without ``--queue-name`` a process serves both queues, each in a thread of its own; with it as the library does."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The library's, where no name of a queue means all there are."""
        super().add_arguments(parser)
        parser.set_defaults(queue_name="")

    def handle(self, **options: Any) -> None:
        """Until it is told to stop; the slices that run are finished."""
        if options["queue_name"]:
            super().handle(**options)
            return
        # Where there are no jobs to ask for, one thread says why, and not two.
        DBTaskResult.objects.first()
        beside = None
        # With --reload the process that watches the files works on nothing.
        if not options["reload"] or os.environ.get(DJANGO_AUTORELOAD_ENV) == "true":
            beside = worker_of(
                Queue.OUTGOING,
                batch=options["batch"],
                max_tasks=options["max_tasks"],
                interval=options["interval"],
            )
            thread = threading.Thread(target=_run, args=(beside,), name="outgoing-jobs", daemon=True)
            thread.start()
        try:
            super().handle(**{**options, "queue_name": Queue.PORTAL.value})
        finally:
            if beside is not None:
                # One that has everything done ends by itself.
                beside.running = options["batch"] and beside.running
                thread.join(_FAREWELL)


def _run(beside: Worker) -> None:
    try:
        beside.run()
    finally:
        connection.close()
