"""The pages below the API's path in a real browser: they work, and the strict CSP has nothing to forbid."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.live_server import ADMIN_PASSWORD, ADMIN_USERNAME, LiveServer, configuration

pytestmark = pytest.mark.browser
CONFIGURATIONS = "/api/v1/configurations"


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console has to complain about."""
    return []


@pytest.fixture
def page(shared_portal: LiveServer, complaints: list[str]) -> Iterator[Page]:
    """A page of a browser that nobody signed in with."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            page = browser.new_page(base_url=shared_portal.url, locale="en")
            page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            yield page
        finally:
            browser.close()


def sign_in(page: Page, wanted: str) -> None:
    """Go to a page as nobody: the login form comes first, then the page."""
    page.goto(wanted)
    page.fill("#id_username", ADMIN_USERNAME)
    page.fill("#id_password", ADMIN_PASSWORD)
    page.click("[type=submit]")
    page.wait_for_url(f"**{wanted}*")


def test_the_docs_page_shows_every_endpoint_and_can_try_one(page, complaints):
    # Of what is far below the window nothing is drawn before somebody goes there.
    page.set_viewport_size({"width": 1280, "height": 20_000})
    sign_in(page, "/api/v1/docs")
    expect(page.locator("#operations-agents-agents_list")).to_be_visible()
    expect(page.locator("#operations-configurations-configurations_preview_new")).to_be_visible()
    page.click("#operations-agents-agents_summary_retrieve button.opblock-summary-control")
    page.click("#operations-agents-agents_summary_retrieve .try-out__btn")
    page.click("#operations-agents-agents_summary_retrieve .execute")
    expect(page.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
    assert complaints == []


def test_the_browsable_api_reads_writes_and_deletes(page, complaints, shared_portal):
    name = "browsable"
    shared_portal.post("configurations", configuration(name, {"browser": "yes"}, "a: 1\n"))
    sign_in(page, "/api/v1/agents?status=connected,error")
    expect(page.locator(".response-info")).to_contain_text('"count"')
    page.get_by_role("button", name="Filters").click()
    expect(page.locator("#filtersModal")).to_be_visible()
    page.goto(f"{CONFIGURATIONS}/{name}")
    page.locator("textarea[name=_content]").fill('{"description": "from a browser"}')
    page.get_by_role("button", name="PATCH").click()
    expect(page.locator(".response-info")).to_contain_text("from a browser")
    assert shared_portal.get(f"configurations/{name}")["description"] == "from a browser"
    page.get_by_role("button", name="DELETE").click()
    page.locator("#deleteModal").get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator(".response-info")).to_contain_text(re.compile("HTTP 204"))
    assert shared_portal.api("GET", f"configurations/{name}").status == 404
    assert complaints == []


def test_a_problem_is_a_page_for_a_browser(page, complaints):
    sign_in(page, CONFIGURATIONS)
    answer = page.goto(f"{CONFIGURATIONS}/not-there")
    assert answer is not None
    assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    expect(page.locator(".response-info")).to_contain_text("There is nothing of that name here.")
    # The browser itself reports the 404; nothing else may be wrong.
    assert [text for text in complaints if "404" not in text] == []
