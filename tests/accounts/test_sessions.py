"""Sessions: idle ones end, and secrets are shown only where the password was typed a little while ago."""

from __future__ import annotations

import pytest
from django.contrib.admin import site
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts.models import AuditEntry
from accounts.reauthentication import password_question
from accounts.services import issue_token
from agents.models import Agent

pytestmark = pytest.mark.django_db
HOME, FLEET = "/admin/", "/admin/agents/agent/"


@pytest.fixture
def browser(alice) -> Client:
    """The administrator signed in, by name and password."""
    client = Client()
    client.post("/admin/login/", {"username": "alice", "password": "alice-password"})
    return client


class TestIdle:
    @pytest.fixture(autouse=True)
    def limit(self, settings):
        settings.SESSION_IDLE_SECONDS = 1_000

    def test_whoever_does_nothing_is_signed_out(self, browser, later):
        assert browser.get(HOME).status_code == 200
        later(1_001)
        answer = browser.get(HOME)
        assert answer.status_code == 302
        assert "You were signed out" in browser.get(answer["Location"]).content.decode()
        entry = AuditEntry.objects.get(verb="logout")
        assert (entry.actor_name, entry.data["idle"]) == ("alice", True)

    def test_whoever_does_something_stays(self, browser, later):
        for _number in range(5):
            later(900)
            assert browser.get(HOME).status_code == 200

    def test_a_page_that_refreshes_itself_prolongs_nothing(self, browser, later):
        browser.get(FLEET)
        for _number in range(11):
            later(90)
            assert browser.get(FLEET, headers={"X-Portal-Refresh": "live"}).status_code == 200
        later(90)
        assert browser.get(FLEET, headers={"X-Portal-Refresh": "live"}).status_code == 302

    def test_the_page_that_refreshes_itself_says_so(self, settings):
        script = settings.BASE_DIR / "static/portal/live.js"
        assert '"X-Portal-Refresh": "live"' in script.read_text()

    def test_the_api_answers_401_and_tokens_are_not_concerned(self, browser, later, alice):
        _row, text = issue_token(alice, name="ci", by=None)
        assert browser.get("/api/v1/agents").status_code == 200
        later(1_001)
        assert browser.get("/api/v1/agents").status_code == 401
        assert APIClient(HTTP_AUTHORIZATION=f"Bearer {text}").get("/api/v1/agents").status_code == 200

    @pytest.mark.parametrize("url", ["/health/live", "/metrics"])
    def test_whoever_needs_no_session_is_not_asked_for_one(self, browser, url):
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(url).status_code == 200
        assert not [query for query in queries if "session" in query["sql"] or "accounts_user" in query["sql"]]

    def test_zero_is_for_ever(self, browser, later, settings):
        settings.SESSION_IDLE_SECONDS = 0
        browser.get(HOME)
        later(10_000_000)
        assert browser.get(HOME).status_code == 200

    def test_a_request_seldom_costs_a_write(self, browser, later):
        browser.get(HOME)
        later(30)
        kept = browser.session["active_at"]
        browser.get(HOME)
        assert browser.session["active_at"] == kept


class TestAskingAgain:
    def test_whoever_signed_in_just_now_is_not_asked(self, browser, report, later):
        url = f"{FLEET}{report().pk}/secrets/"
        assert "Secrets are shown" in browser.post(url).content.decode()
        later(301)
        page = browser.post(url).content.decode()
        assert "Secrets are shown" not in page
        assert 'name="confirm_password"' in page
        assert "Secrets are shown" in browser.post(url, {"confirm_password": "alice-password"}).content.decode()

    def test_the_right_comes_first(self, bob, report):
        client = Client()
        client.force_login(bob)
        url = f"{FLEET}{report().pk}/secrets/"
        assert client.post(url, {"confirm_password": "bob-password"}).status_code == 403

    def test_over_rest_a_session_is_asked_and_a_token_is_not(self, browser, alice, report, later):
        url = f"/api/v1/agents/{report().instance_uid}/effective-config?secrets=shown"
        assert browser.get(url).status_code == 200
        later(301)
        answer = browser.get(url)
        assert answer.status_code == 403
        assert "password" in answer.json()["detail"]
        _row, text = issue_token(alice, name="ci", by=None)
        assert APIClient(HTTP_AUTHORIZATION=f"Bearer {text}").get(url).status_code == 200

    def test_a_page_that_is_read_is_read_again_afterwards(self, alice, rf):
        agents = site.get_model_admin(Agent)
        for answer, asked_by in ((rf.get("/page?x=1"), "GET"), (rf.post("/page?x=1"), "POST")):
            answer.user, answer.session = alice, {}
            question = password_question(agents, answer, back="/")
            assert question is not None
            assert question.context_data["asked_by"] == asked_by
        typed = rf.post("/page?x=1", {"confirm_password": "alice-password", "confirm_asked_by": "GET"})
        typed.user, typed.session = alice, {}
        led_back = password_question(agents, typed, back="/")
        assert (led_back.status_code, led_back["Location"]) == (302, "/page?x=1")
        assert password_question(agents, typed, back="/") is None

    def test_what_was_posted_is_carried_along(self, alice, report):
        client = Client()
        client.force_login(alice)
        page = client.post(f"{FLEET}{report().pk}/secrets/", {"a": ["1", "<2>"]}).content.decode()
        assert '<input type="hidden" name="a" value="1">' in page
        assert '<input type="hidden" name="a" value="&lt;2&gt;">' in page
        assert "csrfmiddlewaretoken" in page
