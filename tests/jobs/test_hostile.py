"""What people and clocks do to jobs: twice at once, too much, and by somebody who has left."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from agents.models import Agent
from foundation.messages import Message
from jobs.errors import NoUseTrying
from jobs.kinds import JobKind, Result, Slice, register_job_kind
from jobs.models import Job
from jobs.outcomes import Outcome
from jobs.services.starting import cancel_job, start_job
from tests.jobs.working import RIGHT, Counting, one_connection, work

pytestmark = pytest.mark.django_db
__all__ = ["one_connection"]
URL = "/api/v1/agents:act"


@pytest.fixture
def fleet(report: Any, one_connection: None) -> list[Agent]:
    return [report(f"h{number}") for number in range(3)]


class TestTwice:
    """A second click is not a second job."""

    def test_what_one_person_asks_twice_is_one_job(self, api_of: Any, alice: User, fleet: list[Agent]) -> None:
        asked = {"action": "relabel", "match_all": True, "parameters": {"set": {"a": "b"}}}
        first, second = (api_of(alice).post(URL, asked).json() for _ in range(2))
        assert first["id"] == second["id"]
        other = api_of(alice).post(URL, {**asked, "match_all": False, "instance_uids": [str(fleet[0].instance_uid)]})
        assert other.json()["id"] != first["id"]
        work()
        # It is over: asked again it is done again.
        assert api_of(alice).post(URL, asked).json()["id"] not in (first["id"], other.json()["id"])

    def test_another_person_gets_a_job_of_their_own(
        self, api_of: Any, alice: User, bob: User, fleet: list[Agent]
    ) -> None:
        bob.is_superuser = True
        bob.save()
        asked = {"action": "relabel", "match_all": True, "parameters": {"set": {"a": "b"}}}
        assert api_of(alice).post(URL, asked).json()["id"] != api_of(bob).post(URL, asked).json()["id"]

    def test_cancelling_twice_while_a_slice_runs_is_once(self, alice: User, counting: Counting) -> None:
        job = start_job("test.count", by=alice, items=list(range(5)))

        def cancel(_job: Job) -> None:
            assert cancel_job(job.pk, by=alice).state == "cancelling"
            assert cancel_job(job.pk, by=alice).state == "cancelling"

        counting.before = cancel
        work()
        job.refresh_from_db()
        assert (job.state, job.done) == ("cancelled", 2)


class TestTooMuch:
    """What a kind says goes into rows that bear it."""

    def test_texts_of_results_and_errors_are_cut_and_have_no_zero_bytes(self, alice: User, counting: Counting) -> None:
        long = "a\x00" + "b" * 100_000
        said = Message("test-said", "{said}", said=long)
        results = [Result(long, Outcome.FAILED, said, long)]

        def run_slice(_job: Job, cursor: Any, _now: Any) -> Slice:
            if cursor is None:
                return Slice(results=results, cursor=1)
            raise NoUseTrying(said)

        register_job_kind(JobKind("test.count", Message("test-count", "Count"), run_slice, right=RIGHT))
        job = start_job("test.count", by=alice)
        work()
        job.refresh_from_db()
        # Not tried again.
        assert (job.state, job.attempt) == ("failed", 0)
        (result,) = job.results.all()
        assert len(str(job.error_message)) == len(str(result.said)) == 1_000
        assert not [text for text in (result.item, result.name, result.said, job.error_message) if "\x00" in str(text)]


class TestWhoeverLeft:
    """A job does nothing in the name of somebody who may not have it done any more."""

    def test_somebody_who_was_deleted(self, alice: User, counting: Counting) -> None:
        job = start_job("test.count", by=alice, items=list(range(5)))
        work(1)
        alice.delete()
        work()
        job.refresh_from_db()
        assert (job.state, job.done) == ("failed", 2)

    def test_a_job_of_somebody_else_is_not_there(self, alice: User, bob: User, counting: Counting) -> None:
        job = start_job("test.count", by=alice, items=[1])
        client = Client()
        client.force_login(bob)
        for path in (f"{job.pk}/change/", f"{job.pk}/file/", f"{'9' * 18}/change/"):
            assert client.get(f"/admin/jobs/job/{path}").status_code == 404
        for act in ("cancel", "retry"):
            assert client.post(f"/admin/jobs/job/{job.pk}/act/{act}/").status_code == 404
