"""Two at the same time: one job of a key, and each item once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django_tasks_db.models import DBTaskResult

from jobs import job_worker
from jobs.models import Job
from jobs.services.starting import cancel_job, start_job
from tests.jobs.working import Counting

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(number: int, act: Callable[[], Any]) -> list[Any]:
    """What ``act`` returned in each of so many threads that begin together."""
    barrier, found = threading.Barrier(number), []

    def one() -> None:
        try:
            barrier.wait(10)
            found.append(act())
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def work_through() -> int:
    done = 0
    while job_worker.work_once(datetime.now().astimezone()):
        done += 1
    return done


def test_the_same_key_at_the_same_time_is_one_job(alice: Any, counting: Counting) -> None:
    made = at_once(4, lambda: start_job("test.count", by=alice, items=[1, 2], key="k").pk)
    assert len(made) == 4
    assert len(set(made)) == 1
    assert Job.objects.count() == DBTaskResult.objects.count() == 1


def test_two_workers_do_each_item_once(alice: Any, counting: Counting) -> None:
    jobs = [start_job("test.count", by=alice, items=list(range(9))) for _ in range(3)]
    at_once(2, work_through)
    work_through()
    for job in jobs:
        job.refresh_from_db()
        assert (job.state, job.done) == ("done", 9)
        assert sorted(job.results.values_list("item", flat=True)) == list("012345678")


def test_whoever_cancels_meets_workers_without_waiting_for_each_other(alice: Any, counting: Counting) -> None:
    job = start_job("test.count", by=alice, items=list(range(200)))
    begun = threading.Event()
    counting.before = lambda _job: begun.set()

    def cancel() -> None:
        assert begun.wait(10)
        cancel_job(job.pk, by=alice)

    turns: list[Callable[[], Any]] = [work_through, cancel]

    def take_turn() -> None:
        turns.pop()()

    at_once(2, take_turn)
    work_through()
    job.refresh_from_db()
    assert job.state == "cancelled"
    assert job.done == job.results.count() < 200
