"""Jobs: slices, what goes wrong in them, cancelling, retrying, lost workers, two at once."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django_tasks_db.models import DBTaskResult

from accounts.models import AuditEntry, User
from agents.services import retention
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.messages import Message
from jobs.errors import InvalidJob, NotAllowed, WrongJobState
from jobs.kinds import Result, Slice
from jobs.models import Job, JobResult
from jobs.outcomes import Outcome
from jobs.services import job_retention, rescuing, running
from jobs.services.starting import UnknownJob, cancel_job, retry_job, start_job
from tests.jobs.working import Counting, work

pytestmark = pytest.mark.django_db
State = Job.State


def stands(job: Job) -> tuple[str, int, int, int]:
    job.refresh_from_db()
    return job.state, job.done, job.skipped, job.failed


class TestSlices:
    """A job is done piece by piece, and says how far it is."""

    def test_each_slice_goes_on_where_the_one_before_ended(self, alice, counting):
        job = start_job("test.count", by=alice, items=list(range(5)))
        assert stands(job) == (State.WAITING, 0, 0, 0)
        assert work(1) == 1
        assert stands(job) == (State.RUNNING, 2, 0, 0)
        assert (job.percent, job.total, job.lease_until) == (40, 5, None)
        assert work() == 2
        assert stands(job) == (State.DONE, 5, 0, 0)
        assert counting.slices == [[0, 1], [2, 3], [4]]
        assert list(job.results.values_list("item", flat=True)) == list("01234")
        assert None not in {job.began_at, job.ended_at}
        assert job.percent == 100

    def test_items_are_read_across_the_rows_they_lie_in(self, alice, counting):
        job = start_job("test.count", by=alice, items=list(range(2_500)))
        assert job.parts.count() == 3
        assert job.items_from(990, 1_020) == list(range(990, 2_010))
        assert (job.items_from(2_499, 10), job.items_from(2_500, 10)) == ([2_499], [])

    def test_what_waits_for_its_time_is_not_begun(self, alice, counting):
        job = start_job("test.count", by=alice, items=[1], run_after=clock.now() + timedelta(hours=1))
        assert work(again=False) == 0
        assert stands(job)[0] == State.WAITING

    def test_a_slice_may_wait_and_count_without_rows(self, alice, counting):
        counting.run_slice = lambda *_: Slice(done=7, cursor=1, again_in=timedelta(minutes=5), total=14)
        # The registry holds the method that was there first.
        from jobs import kinds

        kinds.register_job_kind(
            kinds.JobKind("test.count", Message("test-count", "Count"), counting.run_slice, right="agents.change_agent")
        )
        job = start_job("test.count", by=alice)
        assert work(again=False) == 1
        assert stands(job) == (State.RUNNING, 7, 0, 0)
        assert job.percent == 50
        assert job.run_after > clock.now() + timedelta(minutes=4)
        assert not job.results.exists()

    def test_results_of_very_large_jobs_are_cut_and_failures_have_room(self, alice, counting, monkeypatch):
        monkeypatch.setattr(running, "_MOST_GOOD_RESULTS", 3)
        monkeypatch.setattr(running, "MOST_RESULTS", 5)
        job = start_job("test.count", by=alice, items=list(range(10)))
        work(3)
        assert (job.results.count(), stands(job)[1]) == (3, 6)
        running._keep(job, [Result(str(number), Outcome.FAILED) for number in range(4)])
        assert job.results.filter(outcome="failed").count() == 2


class TestStarting:
    """Who may start what."""

    def test_the_same_key_is_started_once_while_it_lives(self, alice, counting):
        first = start_job("test.count", by=alice, items=[1], key="k")
        assert start_job("test.count", by=alice, items=[1, 2], key="k").pk == first.pk
        assert Job.objects.count() == DBTaskResult.objects.count() == 1
        work()
        assert start_job("test.count", by=alice, items=[1], key="k").pk != first.pk

    def test_rights_are_asked_when_it_starts_and_with_each_slice(self, alice, bob, counting):
        with pytest.raises(NotAllowed):
            start_job("test.count", by=bob)
        job = start_job("test.count", by=alice, items=list(range(10)))
        work(1)
        User.objects.filter(pk=alice.pk).update(is_active=False)
        work()
        assert stands(job)[:2] == (State.FAILED, 2)
        assert str(job.error_message) == "Whoever started the job may not have this done any more."

    def test_nobody_goes_on_for_somebody_who_was_deleted(self, alice, counting):
        job = start_job("test.count", by=alice, items=[1])
        Job.objects.update(started_by=None)
        work()
        assert stands(job)[:2] == (State.FAILED, 0)
        assert counting.slices == []

    def test_the_portal_may_everything(self, counting):
        job = start_job("test.count", by=None, items=[1])
        work()
        assert stands(job) == (State.DONE, 1, 0, 0)
        assert not AuditEntry.objects.filter(verb="job.start").exists()

    def test_bad_input_is_refused(self, alice, counting):
        for wrong in ({"kind": "no.such"}, {"parameters": {"x": object()}}, {"parameters": {"x": "y" * 70_000}}):
            with pytest.raises(InvalidJob):
                start_job(**{"kind": "test.count", "by": alice, **wrong})
        with pytest.raises(InvalidJob):
            start_job("test.count", by=alice, parameters={"x": float("nan")})
        with pytest.raises(InvalidJob):
            start_job("test.count", by=alice, key="k" * 201)
        assert not Job.objects.exists()

    def test_what_people_do_is_in_the_trail(self, alice, counting):
        job = start_job("test.count", by=alice, items=[1, 2, 3])
        cancel_job(job.pk, by=alice)
        retry_job(job.pk, by=alice)
        verbs = AuditEntry.objects.order_by("pk").values_list("verb", "object_name")
        assert list(verbs) == [("job.start", "Count"), ("job.cancel", "Count"), ("job.retry", "Count")]


class TestFailures:
    """What a slice raises is tried again, and given up in the end."""

    def test_a_slice_that_fails_is_tried_again_later_with_growing_pauses(self, alice, counting):
        job = start_job("test.count", by=alice, items=[1, 2, 3])
        work(1)

        def fail(_job: Job) -> None:
            raise DomainError(Message("test-broken", "It broke."))

        counting.before = fail
        pauses = []
        for attempt in (1, 2, 3, 4):
            work(1)
            stands(job)
            assert (job.state, job.attempt, str(job.error_message)) == (State.RUNNING, attempt, "It broke.")
            pauses.append(round((job.run_after - clock.now()).total_seconds()))
        assert pauses == [5, 10, 20, 40]
        work(1)
        assert stands(job)[:2] == (State.FAILED, 2)
        counting.before = lambda _job: None
        retry_job(job.pk, by=alice)
        work()
        assert stands(job) == (State.DONE, 3, 0, 0)
        assert job.error is None

    def test_of_a_mistake_of_ours_only_the_class_is_told(self, alice, counting):
        def fail(_job: Job) -> None:
            raise ValueError("password=hunter2")

        counting.before = fail
        job = start_job("test.count", by=alice, items=[1])
        work(1)
        stands(job)
        assert "ValueError" in str(job.error_message)
        assert "hunter2" not in str(job.error)

    def test_a_kind_that_is_gone_fails(self, alice, counting, monkeypatch):
        job = start_job("test.count", by=alice, items=[1])
        from jobs import kinds

        monkeypatch.setattr(kinds, "_registered", {})
        work()
        assert stands(job)[0] == State.FAILED


class TestCancelling:
    """A job ends where it is."""

    def test_between_slices_it_ends_at_once(self, alice, counting):
        job = start_job("test.count", by=alice, items=list(range(10)))
        work(2)
        cancel_job(job.pk, by=alice)
        assert stands(job)[:2] == (State.CANCELLED, 4)
        work()
        assert stands(job)[:2] == (State.CANCELLED, 4)
        retry_job(job.pk, by=alice)
        work()
        assert stands(job)[:2] == (State.DONE, 10)
        assert sorted(job.results.values_list("item", flat=True)) == list("0123456789")

    def test_within_a_slice_it_ends_after_it(self, alice, counting):
        job = start_job("test.count", by=alice, items=list(range(10)))
        counting.before = lambda running_job: cancel_job(running_job.pk, by=alice)
        work()
        assert stands(job)[:2] == (State.CANCELLED, 2)

    def test_what_has_ended_is_neither_cancelled_nor_retried(self, alice, counting):
        job = start_job("test.count", by=alice, items=[1])
        with pytest.raises(WrongJobState):
            retry_job(job.pk, by=alice)
        work()
        with pytest.raises(WrongJobState):
            cancel_job(job.pk, by=alice)
        with pytest.raises(WrongJobState):
            retry_job(job.pk, by=alice)
        with pytest.raises(UnknownJob):
            cancel_job(job.pk + 1, by=alice)

    def test_a_retry_meets_its_successor(self, alice, counting):
        job = start_job("test.count", by=alice, items=[1], key="k")
        cancel_job(job.pk, by=alice)
        start_job("test.count", by=alice, items=[1], key="k")
        with pytest.raises(WrongJobState):
            retry_job(job.pk, by=alice)


class TestLost:
    """A worker that dies loses its job to another; it is never worked on twice at the same time."""

    def test_a_dead_workers_job_is_taken_again_when_its_lease_is_over(self, alice, counting):
        job = start_job("test.count", by=alice, items=list(range(4)))
        work(1)
        died = Job.objects.get().task_id
        assert running._claim(job.pk, died) is not None
        DBTaskResult.objects.filter(pk=died).update(status="RUNNING")
        assert rescuing.rescue_jobs(clock.now()) == 0
        assert rescuing.rescue_jobs(clock.now() + timedelta(seconds=61)) == 1
        assert stands(job)[0] == State.RUNNING
        assert (job.lost, job.lease_until) == (1, None)
        assert job.task_id != died
        work()
        assert stands(job) == (State.DONE, 4, 0, 0)

    def test_a_slow_worker_that_lost_its_job_books_nothing(self, alice, counting):
        job = start_job("test.count", by=alice, items=list(range(4)))

        def outlive(_job: Job) -> None:
            counting.before = lambda _job: None
            assert rescuing.rescue_jobs(clock.now() + timedelta(seconds=61)) == 1

        counting.before = outlive
        work()
        assert stands(job) == (State.DONE, 4, 0, 0)
        assert JobResult.objects.count() == 4
        assert counting.slices == [[0, 1], [0, 1], [2, 3], []]

    def test_two_workers_with_one_task_do_not_both_run_it(self, alice, counting):
        job = start_job("test.count", by=alice, items=list(range(4)))
        task_id = job.task_id
        counting.before = lambda _job: running.run_next_slice(job.pk, task_id)
        work(1)
        assert counting.slices == [[0, 1]]
        running.run_next_slice(job.pk, task_id)
        running.run_next_slice(job.pk, uuid4())
        assert stands(job)[1] == 2

    def test_a_job_that_kills_workers_is_given_up(self, alice, counting):
        job = start_job("test.count", by=alice, items=[1])
        for _ in range(rescuing.MOST_LOST + 1):
            job.refresh_from_db()
            running._claim(job.pk, job.task_id)
            rescuing.rescue_jobs(clock.now() + timedelta(seconds=61))
        assert stands(job)[0] == State.FAILED
        assert "died 6 times" in str(job.error_message)

    def test_a_lost_job_that_was_being_cancelled_is_cancelled(self, alice, counting):
        job = start_job("test.count", by=alice, items=[1])
        running._claim(job.pk, job.task_id)
        cancel_job(job.pk, by=alice)
        assert stands(job)[0] == State.CANCELLING
        rescuing.rescue_jobs(clock.now() + timedelta(seconds=61))
        assert stands(job)[0] == State.CANCELLED

    def test_a_task_that_is_gone_is_made_again_and_one_that_waits_is_left(self, alice, counting):
        job = start_job("test.count", by=alice, items=[1])
        later = clock.now() + timedelta(seconds=61)
        assert rescuing.rescue_jobs(later) == 0
        DBTaskResult.objects.all().delete()
        assert rescuing.rescue_jobs(later) == 1
        work()
        assert stands(job)[0] == State.DONE

    def test_a_clock_that_was_put_back_holds_up_no_job(self, alice, counting):
        """What was put off for a day by the former time is done now; a pause that is one stays one."""
        waiting, working, resting = (start_job("test.count", by=alice, items=[1]) for _ in range(3))
        running._claim(working.pk, working.task_id)
        tomorrow = clock.now() + timedelta(days=1)
        Job.objects.filter(pk=waiting.pk).update(run_after=tomorrow)
        Job.objects.filter(pk=working.pk).update(lease_until=tomorrow)
        Job.objects.filter(pk=resting.pk).update(run_after=clock.now() + timedelta(minutes=100))
        DBTaskResult.objects.update(run_after=tomorrow)
        assert rescuing.rescue_jobs(clock.now()) == 2
        work(again=False)
        assert [stands(job)[0] for job in (waiting, working, resting)] == [State.DONE, State.DONE, State.WAITING]


class TestPruning:
    """What ended long ago goes, with its results and the library's tasks."""

    def test_ended_jobs_go_and_live_ones_stay(self, alice, counting, settings):
        old, live = (start_job("test.count", by=alice, items=[1]) for _ in range(2))
        Job.objects.filter(pk=live.pk).update(run_after=clock.now() + timedelta(days=100))
        DBTaskResult.objects.filter(pk=live.task_id).update(run_after=clock.now() + timedelta(days=100))
        task_id = old.task_id
        work(again=False)
        assert stands(old)[0] == State.DONE
        later = clock.now() + timedelta(days=settings.JOBS_KEPT_DAYS, seconds=1)
        assert list(job_retention.overdue_jobs(later)) == [old]
        assert list(job_retention.overdue_jobs(clock.now())) == []
        assert {task.pk for task in job_retention.overdue_tasks(later)} == {task_id}
        for kind in retention.pruned_kinds():
            if kind.value in {"job results", "jobs", "tasks"}:
                assert [*retention.prune(kind, at=later)] == [1], kind.value
        assert list(Job.objects.all()) == [live]
        assert not JobResult.objects.exists()
        settings.JOBS_KEPT_DAYS = 0
        assert list(job_retention.overdue_jobs(later)) == []


def test_the_counting_kind_is_gone_after_its_test():
    from jobs.kinds import kind_named

    assert kind_named("test.count") is None
    assert Counting().step == 2
