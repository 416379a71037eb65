"""Pruning as a job: over REST and from a page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from agents.models import Agent, AgentEvent
from jobs.models import Job
from tests.jobs.working import one_connection, work

__all__ = ["one_connection"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("one_connection")]
URL, PAGE = "/api/v1/agents:prune", "/admin/agents/agent/prune/"


def old_lines(agent: Agent, number: int) -> None:
    at = timezone.now() - timedelta(days=400)
    AgentEvent.objects.bulk_create(AgentEvent(agent=agent, at=at, kind="connected", data={}) for _ in range(number))


def test_it_deletes_what_is_overdue_a_small_transaction_a_slice(api_of, alice, report, monkeypatch):
    monkeypatch.setattr("agents.services.retention.BATCH", 4)
    agent = report("one")
    kept = AgentEvent.objects.count()
    old_lines(agent, 10)
    api = api_of(alice)
    answer = api.post(URL)
    assert answer.status_code == 202
    assert api.post(URL).json()["id"] == answer.json()["id"]
    work(1)
    assert AgentEvent.objects.count() == kept + 6
    work()
    job = api.get(answer.headers["Location"]).json()
    assert (job["state"], job["done"], job["kind"]) == ("done", 10, "agents.prune")
    assert AgentEvent.objects.count() == kept
    assert Agent.objects.filter(pk=agent.pk).exists()


def test_it_does_nothing_by_a_clock_that_is_behind(alice, report, api_of):
    old_lines(report("one"), 1)
    AgentEvent.objects.filter(pk=AgentEvent.objects.order_by("pk").last().pk).update(
        at=timezone.now() + timedelta(days=400)
    )
    api_of(alice).post(URL)
    work()
    job = Job.objects.get()
    assert (job.state, job.done) == ("failed", 0)
    assert "clock" in str(job.error_message)


def test_the_page_counts_first(signed_in: Any, report, bob, api_of):
    old_lines(report("one"), 3)
    page = signed_in.get(PAGE).content.decode()
    assert "<strong>3</strong>" in page
    assert not Job.objects.exists()
    answer = signed_in.post(PAGE)
    assert answer.headers["Location"] == f"/admin/jobs/job/{Job.objects.get().pk}/change/"
    assert PAGE in signed_in.get("/admin/jobs/job/").content.decode()
    signed_in.force_login(bob)
    assert signed_in.post(PAGE).status_code == 403
    assert api_of(bob).post(URL).status_code == 403
    assert PAGE not in signed_in.get("/admin/jobs/job/").content.decode()
