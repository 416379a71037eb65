"""What waits for servers of others holds up only its like."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django_tasks_db.models import DBTaskResult

from foundation.chores import registered_chores
from foundation.messages import Message
from jobs import job_worker
from jobs.kinds import JobKind, Queue, Result, Slice, register_job_kind
from jobs.models import Job
from jobs.outcomes import Outcome
from jobs.services.starting import start_job
from opamp_transport import runtime
from tests.fake_agent import run
from tests.jobs.working import Counting

pytestmark = pytest.mark.django_db(transaction=True)


class Silent:
    """A server of others that answers when the test lets it."""

    def __init__(self) -> None:
        self.asked, self.answers = threading.Event(), threading.Event()

    def run_slice(self, job: Job, _cursor: Any, _now: datetime) -> Slice:
        self.asked.set()
        assert self.answers.wait(30)
        return Slice(results=[Result("a", Outcome.DONE)])


@pytest.fixture
def silent(counting: Counting) -> Any:
    made = Silent()
    said = Message("test-call", "Call")
    register_job_kind(JobKind("test.call", said, made.run_slice, queue=Queue.OUTGOING))
    yield made
    made.answers.set()


def test_every_queue_is_one_that_the_library_takes():
    assert {queue.value for queue in Queue} == set(settings.TASKS["default"]["QUEUES"])


def test_a_kind_names_its_queue_and_each_worker_takes_from_one(alice, counting, silent):
    start_job("test.call", by=None)
    assert [row.queue_name for row in DBTaskResult.objects.all()] == ["outgoing"]
    now = datetime.now().astimezone()
    assert job_worker.work_once(now) == 0
    silent.answers.set()
    assert job_worker.call_out_once(now) == 1
    assert job_worker.call_out_once(now) == 0
    assert Job.objects.get().state == "done"


def test_a_server_that_never_answers_does_not_hold_up_a_job_of_people(alice, counting, silent):
    """As the leading process does both: the job of a person ends while the other one is still on the line."""

    async def test() -> tuple[str, str]:
        here = runtime.current()
        here.leads = True
        chores = {chore.name: chore for chore in registered_chores()}
        call = await sync_to_async(start_job)("test.call", by=None)
        calling = asyncio.ensure_future(here.do(chores["outgoing jobs 1"]))
        assert await asyncio.to_thread(silent.asked.wait, 10)
        job = await sync_to_async(start_job)("test.count", by=alice, items=[1, 2, 3])
        async with asyncio.timeout(20):
            await here.do(chores["jobs"])
        states = {row.pk: row.state async for row in Job.objects.all()}
        silent.answers.set()
        await calling
        return states[job.pk], states[call.pk]

    assert run(test()) == ("done", "running")
    assert set(Job.objects.values_list("state", flat=True)) == {"done"}


def test_a_second_notice_does_not_wait_for_the_first(silent):
    start_job("test.call", by=None)
    start_job("test.call", by=None)
    now = datetime.now().astimezone()

    def call_out() -> None:
        job_worker.call_out_once(now)
        connection.close()

    threads = [threading.Thread(target=call_out) for _ in range(2)]
    threads[0].start()
    assert silent.asked.wait(10)
    silent.asked.clear()
    threads[1].start()
    assert silent.asked.wait(10)
    silent.answers.set()
    for thread in threads:
        thread.join(30)
    assert set(Job.objects.values_list("state", flat=True)) == {"done"}


def test_the_command_serves_both_queues_unless_it_is_told_one(alice, counting, silent):
    silent.answers.set()
    start_job("test.call", by=None)
    start_job("test.count", by=alice, items=[1])
    plain = {"batch": True, "startup_delay": False, "verbosity": 0, "reload": False}
    call_command("db_worker", queue_name="outgoing", **plain)
    assert list(Job.objects.order_by("pk").values_list("state", flat=True)) == ["done", "waiting"]
    start_job("test.call", by=None)
    call_command("db_worker", **plain)
    assert set(Job.objects.values_list("state", flat=True)) == {"done"}
