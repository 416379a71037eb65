"""A kind of job to test with, and a worker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django_tasks_db.models import DBTaskResult

from foundation.messages import Message
from jobs import job_worker, kinds
from jobs.kinds import JobKind, Result, Slice
from jobs.models import Job
from jobs.outcomes import Outcome

RIGHT = "agents.change_agent"


class Counting:
    """Handles ``step`` items a slice; ``before`` is called in each slice."""

    def __init__(self) -> None:
        self.step = 2
        self.slices: list[Any] = []
        self.before: Callable[[Job], None] = lambda _job: None

    def run_slice(self, job: Job, cursor: Any, _now: datetime) -> Slice:
        place = cursor or 0
        items = job.items_from(place, self.step)
        self.slices.append(items)
        self.before(job)
        if len(items) < self.step:
            return Slice(results=[Result(str(item), Outcome.DONE) for item in items])
        return Slice(results=[Result(str(item), Outcome.DONE) for item in items], cursor=place + self.step)


@pytest.fixture
def one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker leaves the connection of the test open, in whose transaction it works; Django's test client does so too."""
    monkeypatch.setattr("django_tasks_db.management.commands.db_worker.close_old_connections", lambda: None)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch, one_connection: None) -> Counting:
    """The kind ``test.count``, for this test."""
    made = Counting()
    monkeypatch.setattr(kinds, "_registered", dict(kinds._registered))
    kinds.register_job_kind(JobKind("test.count", Message("test-count", "Count"), made.run_slice, right=RIGHT))
    return made


def work(most: int = 1_000, *, again: bool = True) -> int:
    """Run what is due, slice by slice; with ``again`` also what waits for a later time."""
    done = 0
    while done < most:
        if again:
            DBTaskResult.objects.filter(status="READY").update(run_after=datetime.fromisoformat("2020-01-01T00:00Z"))
        now = datetime.now().astimezone()
        if not (job_worker.work_once(now) or job_worker.call_out_once(now)):
            break
        done += 1
    return done
