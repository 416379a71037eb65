"""Jobs in REST and in the admin: whose they are, the pages, the fly-out."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts.models import User
from accounts.services import OPERATOR
from foundation.messages import Message
from jobs import kinds
from jobs.models import Job
from jobs.outcomes import Outcome
from jobs.services.starting import start_job
from tests.jobs.working import work

pytestmark = pytest.mark.django_db
LIST = "/admin/jobs/job/"


@pytest.fixture
def carol(bob: User) -> User:
    """An operator."""
    user = User.objects.create_user("carol", password="carol-password", is_staff=True)
    user.groups.add(Group.objects.get(name=OPERATOR))
    return user


@pytest.fixture
def job(carol: User, counting: Any) -> Job:
    """Carol's, with five items."""
    return start_job("test.count", by=carol, items=list(range(5)))


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


class TestRest:
    """``/api/v1/jobs``."""

    def test_everybody_sees_their_own_and_administrators_all(self, api_of, alice, bob, carol, job):
        url = f"/api/v1/jobs/{job.pk}"
        for user, number in ((alice, 1), (carol, 1), (bob, 0)):
            api = api_of(user)
            assert api.get("/api/v1/jobs").json()["count"] == number
            assert api.get(url).status_code == (200 if number else 404)
            assert api.get(f"{url}/results").status_code == (200 if number else 404)
        for act in ("cancel", "retry"):
            assert api_of(bob).post(f"{url}/{act}").status_code == 404
        assert api_of(alice).get("/api/v1/jobs?mine=true").json()["count"] == 0

    def test_it_is_filtered_cancelled_and_taken_up_again(self, api_of, carol, job):
        api, url = api_of(carol), f"/api/v1/jobs/{job.pk}"
        assert api.get("/api/v1/jobs?state=waiting&kind=test.count&mine=true").json()["count"] == 1
        assert api.get("/api/v1/jobs?state=done").json()["count"] == 0
        assert api.get("/api/v1/jobs?state=nonsense").status_code == 400
        assert api.post(f"{url}/retry").status_code == 409
        work(1)
        assert api.post(f"{url}/cancel").json()["state"] == "cancelled"
        assert api.post(f"{url}/cancel").status_code == 409
        assert api.post(f"{url}/retry").json()["state"] == "waiting"
        work()
        shown = api.get(url).json()
        assert (shown["state"], shown["percent"], shown["title"]) == ("done", 100, "Count")
        results = api.get(f"{url}/results?outcome=done").json()
        assert (results["count"], results["results"][0]["item"]) == (5, "0")
        assert api.get(f"{url}/results?outcome=failed").json()["count"] == 0
        assert api.post(f"{url}/cancel", {"x": 1}).status_code == 400
        assert api.get("/api/v1/jobs/99999999").status_code == 404


class TestAdmin:
    """The list, the page, the buttons."""

    def test_the_list_has_ones_own(self, alice, bob, carol, job):
        assert "Count" in browser(carol).get(LIST).content.decode()
        assert "Count" in browser(alice).get(LIST).content.decode()
        assert "Count" not in browser(bob).get(LIST).content.decode()
        assert browser(bob).get(f"{LIST}{job.pk}/change/").status_code == 404
        assert browser(bob).post(f"{LIST}{job.pk}/act/cancel/").status_code == 404

    def test_the_page_shows_progress_and_results_and_reads_itself_again(self, carol, job):
        client = browser(carol)
        work(2)
        page = client.get(f"{LIST}{job.pk}/change/").content.decode()
        assert re.search(r"4\s*/ 5", page)
        assert 'value="80"' in page
        assert "act/cancel/" in page
        fresh = client.get(f"{LIST}{job.pk}/change/", headers={"X-Portal-Refresh": "live"}).content.decode()
        assert 'id="job-now"' in fresh
        assert "<html" not in fresh

    def test_a_button_cancels_and_another_goes_on(self, carol, job):
        client = browser(carol)
        page = client.post(f"{LIST}{job.pk}/act/cancel/", follow=True).content.decode()
        assert "what was done stays" in page
        assert "has ended already" in client.post(f"{LIST}{job.pk}/act/cancel/", follow=True).content.decode()
        client.post(f"{LIST}{job.pk}/act/nonsense/")
        client.post(f"{LIST}{job.pk}/act/retry/")
        job.refresh_from_db()
        assert job.state == "waiting"
        assert client.get(f"{LIST}{job.pk}/act/cancel/").status_code == 405

    def test_what_an_item_says_is_escaped(self, carol, job, counting):
        counting.run_slice = None
        evil = kinds.Result("<b>x</b>", Outcome.FAILED, Message("test-evil", "{said}", said="<script>"), "<i>")
        kind = kinds.JobKind("test.count", Message("test-count", "Count"), lambda *_: kinds.Slice(results=[evil]),
                             right="agents.change_agent")  # fmt: skip
        kinds.register_job_kind(kind)
        work()
        page = browser(carol).get(f"{LIST}{job.pk}/change/").content.decode()
        assert "&lt;script&gt;" in page
        assert "<b>x</b>" not in page


class TestFlyout:
    """On every page: what one has under way."""

    def test_it_shows_ones_own_and_costs_one_query(self, alice, bob, carol, job, django_assert_num_queries):
        page = browser(carol).get("/admin/").content.decode()
        assert "1 job under way" in page
        assert f"{LIST}{job.pk}/change/" in page
        for other in (alice, bob):
            assert "under way" not in browser(other).get("/admin/").content.decode()
        client = browser(carol)
        client.get(LIST + "flyout/")
        # The session, the person, and the jobs.
        with django_assert_num_queries(3):
            assert "1 job under way" in client.get(LIST + "flyout/").content.decode()

    def test_what_ended_lately_stays_for_a_while(self, carol, job):
        work()
        page = browser(carol).get("/admin/").content.decode()
        assert "Jobs that ended lately" in page
        # Nothing moves by itself: it is read again when a hint says so.
        assert 'data-topics="jobs"' in page
        assert not re.search(r'id="jobs-flyout"[^>]*data-seconds', page)
        Job.objects.update(ended_at="2020-01-01T00:00Z")
        assert "ended lately" not in browser(carol).get("/admin/").content.decode()
