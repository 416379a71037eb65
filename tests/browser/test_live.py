"""Open pages show what happens without being loaded again: over the socket, by polling where it is refused, not while paused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.browser.conftest import PATIENCE, Visit, Visitor
from tests.fake_agent import FakeAgent
from tests.live_server import LiveServer, configuration
from tests.plain_http import post

expect.set_options(timeout=PATIENCE)
LIST = "/admin/agents/agent/"


def reports(server: LiveServer, agent: FakeAgent, **parts: Any) -> None:
    """One message over plain HTTP."""
    body = agent.message(**(parts or agent.full_parts())).SerializeToString()
    assert post(server.http_endpoint, body).status == 200


def renamed(server: LiveServer, agent: FakeAgent, name: str) -> None:
    """What an operator calls it."""
    answer = server.api("PATCH", f"agents/{agent.uid}", {"name": name})
    assert answer.status == 200, answer


def listens_by(page: Page, way: str) -> None:
    """Wait until the page hears of changes by ``socket``, or goes on by ``polling``."""
    expect(page.locator(f"#live[data-by={way}]")).to_be_visible()
    expect(page.locator("#live .live-word")).to_have_text("live")


def is_read(request: Request) -> bool:
    """Whether the page reads its own parts again; bell and fly-out are on every page."""
    return "x-portal-refresh" in request.headers and not request.url.endswith(("/bell/", "/flyout/"))


def count_reads(page: Page) -> list[str]:
    """Addresses that the page has read again, as it goes on."""
    reads: list[str] = []
    page.on("request", lambda request: reads.append(request.url) if is_read(request) else None)
    return reads


@pytest.fixture
def agent(shared_portal: LiveServer) -> FakeAgent:
    """One that has reported."""
    found = FakeAgent(env="live")
    reports(shared_portal, found)
    renamed(shared_portal, found, f"before {found.uid}")
    return found


def test_the_list_shows_a_change_within_seconds(visit: Visitor, shared_portal: LiveServer, agent: FakeAgent) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go(LIST)
        listens_by(page, "socket")
        page.evaluate("window.kept = true")
        renamed(shared_portal, agent, f"after {agent.uid}")
        expect(page.get_by_text(f"after {agent.uid}")).to_be_visible(timeout=4_000)
        newcomer = FakeAgent()
        reports(shared_portal, newcomer)
        renamed(shared_portal, newcomer, f"new {newcomer.uid}")
        expect(page.get_by_text(f"new {newcomer.uid}")).to_be_visible()
        assert page.evaluate("window.kept"), "it was not loaded again"


def test_a_changed_row_is_read_alone(visit: Visitor, shared_portal: LiveServer, agent: FakeAgent) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go(f"{LIST}?q={agent.uid}")
        listens_by(page, "socket")
        with page.expect_request(lambda request: "/rows/" in request.url):
            renamed(shared_portal, agent, f"alone {agent.uid}")
        expect(page.get_by_text(f"alone {agent.uid}")).to_be_visible(timeout=4_000)
        page.get_by_role("link", name=f"alone {agent.uid}").first.click()
        page.wait_for_url("**/change/?_changelist_filters=**")


def test_other_pages_too(visit: Visitor, shared_portal: LiveServer, agent: FakeAgent) -> None:
    with visit() as person:
        page = person.sign_in()
        listens_by(page, "socket")
        before = page.locator("#fleet .status-card strong").first.inner_text()
        reports(shared_portal, FakeAgent())
        expect(page.locator("#fleet .status-card strong").first).not_to_have_text(before, timeout=4_000)
        person.go(f"{LIST}?q={agent.uid}")
        page.get_by_role("link", name=str(agent.uid)).first.click()
        listens_by(page, "socket")
        renamed(shared_portal, agent, "of another name")
        expect(page.locator("#timeline-lines")).to_contain_text("of another name", timeout=4_000)


def test_nothing_is_read_again_while_nothing_happens(visit: Visitor, shared_portal: LiveServer) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go(f"{LIST}?q=nobody-has-this-name")
        listens_by(page, "socket")
        # What the socket's opening asks for.
        with page.expect_request(is_read):
            pass
        reads = count_reads(page)
        page.wait_for_timeout(6_500)
        assert reads == []


def test_a_page_stops_when_what_it_shows_has_ended(visit: Visitor, shared_portal: LiveServer, agent: FakeAgent) -> None:
    """Deleted (a redirect), published by somebody else (not found), signed out in another tab: said, without an error."""
    shared_portal.post("configurations", configuration("ends", {"env": "ends"}, "a: 1\n"))
    draft = shared_portal.post("configurations/ends/drafts", {"raw_config": "a: 2\n"})
    ended = "ended: load the page again"
    with visit() as person:
        page = person.sign_in()
        page.goto(f"{shared_portal.url}{LIST}?q={agent.uid}")
        page.locator("#result_list tbody a").first.click()
        listens_by(page, "socket")
        assert shared_portal.api("DELETE", f"agents/{agent.uid}").status == 204
        expect(page.locator("#live .live-word")).to_have_text(ended)
        reads = count_reads(page)
        page.wait_for_timeout(2_500)
        assert reads == []
        expect(page.locator("#live button")).to_be_hidden()

        person.go(f"/admin/configurations/configuration/drafts/{draft['id']}/")
        listens_by(page, "socket")
        assert shared_portal.api("DELETE", f"drafts/{draft['id']}").status == 204
        expect(page.locator("#live .live-word")).to_have_text(ended)

        person.go(LIST)
        listens_by(page, "socket")
        other = page.context.new_page()
        other.goto(f"{shared_portal.url}/admin/")
        other.locator("#logout-form button").click()
        expect(page.locator("#live .live-word")).to_have_text(ended)


def test_pausing_and_resuming(visit: Visitor, shared_portal: LiveServer, agent: FakeAgent) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go(LIST)
        listens_by(page, "socket")
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#live .live-word")).to_have_text("paused")
        reads = count_reads(page)
        renamed(shared_portal, agent, f"meanwhile {agent.uid}")
        page.wait_for_timeout(2_500)
        assert reads == []
        page.get_by_role("button", name="Resume").click()
        expect(page.get_by_text(f"meanwhile {agent.uid}")).to_be_visible()
        listens_by(page, "socket")


def test_a_socket_that_is_lost_comes_back(visit: Visitor, shared_portal: LiveServer, agent: FakeAgent) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go(LIST)
        listens_by(page, "socket")
        shared_portal.restart()
        # The browser says what it did not reach.
        expect(page.locator("#live[data-by=polling]")).to_be_attached()
        listens_by(page, "socket")
        renamed(shared_portal, agent, f"after the restart {agent.uid}")
        expect(page.get_by_text(f"after the restart {agent.uid}")).to_be_visible()
        person.faults.clear()


@pytest.fixture
def without_sockets(tmp_path: Path) -> Iterator[LiveServer]:
    """A server that takes no listeners."""
    with LiveServer(tmp_path, LIVE_SOCKETS="0") as server:
        yield server


def test_where_the_socket_is_refused_the_page_polls(browser: Browser, without_sockets: LiveServer) -> None:
    agent = FakeAgent()
    reports(without_sockets, agent)
    context = browser.new_context(locale="en-US")
    person = Visit(context, without_sockets)
    page = person.sign_in()
    person.go(LIST)
    listens_by(page, "polling")
    renamed(without_sockets, agent, "seen by polling")
    expect(page.get_by_text("seen by polling")).to_be_visible()
    expect(page.locator("#live .live-word")).to_have_text("live")
    assert all("/ws/notifications" in fault for fault in person.faults), person.faults
    context.close()
