"""Open pages see what becomes of jobs over their socket: the page of one, and the fly-out of pages about something else."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.browser.conftest import DESKTOP, PATIENCE, Visit
from tests.live_server import LiveServer

expect.set_options(timeout=PATIENCE)
RELABEL = {"action": "relabel", "match_all": True, "parameters": {"set": {"a": "b"}}}


def test_a_job_that_begins_and_is_cancelled_elsewhere(browser: Browser, tmp_path: Path) -> None:
    with LiveServer(tmp_path, JOBS_WORKER="false") as server:
        context = browser.new_context(viewport=DESKTOP, locale="en-US")
        person = Visit(context, server)
        page = person.sign_in()
        with page.expect_websocket():
            person.go("/admin/accounts/apitoken/")
        # A page about something else, on which nothing is under way yet.
        with page.expect_response(lambda answer: answer.url.endswith("/flyout/")):
            job = server.api("POST", "/api/v1/agents:act", RELABEL).json["id"]
        expect(page.locator("#jobs-flyout summary")).to_contain_text("1 job under way")
        person.go(f"/admin/jobs/job/{job}/change/")
        expect(page.locator("#live[data-by=socket]")).to_be_visible()
        page.evaluate("window.kept = true")
        server.api("POST", f"/api/v1/jobs/{job}/cancel")
        expect(page.locator("#job-now .pill")).to_contain_text("cancelled")
        assert page.evaluate("window.kept")
        assert person.faults == []
        context.close()
