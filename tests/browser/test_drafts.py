"""A draft in a real browser: saved, opened by another person, saved by both, published."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE, Visitor
from tests.live_server import LiveServer, configuration

expect.set_options(timeout=PATIENCE)
TEXT = "exporters:\n  debug: {}\n"


@pytest.fixture
def page_of_one(shared_portal: LiveServer) -> str:
    """Where a configuration is that nobody matches."""
    shared_portal.post("configurations", configuration("two-people", {"env": "two-people"}, TEXT))
    found = "from configurations.models import Configuration; "
    found += "print(Configuration.objects.get(name='two-people').pk)"
    key = shared_portal.manage("shell", "-v0", "-c", found).strip()
    return f"/admin/configurations/configuration/{key}/change/"


def test_two_people_and_one_draft(visit: Visitor, shared_portal: LiveServer, page_of_one: str) -> None:
    with visit() as first, visit() as second:
        mine, theirs = first.sign_in(), second.sign_in()
        first.go(page_of_one)
        mine.fill("#id_raw_config", TEXT + "receivers: {}\n")
        mine.fill("#id_note", "to be looked at")
        mine.get_by_role("button", name="Save draft").click()
        expect(mine.locator("#draft")).to_contain_text("based on revision 1")
        assert shared_portal.get("configurations/two-people")["revision"] == 1

        second.go(page_of_one)
        theirs.get_by_role("link", name="Draft of admin").click()
        expect(theirs.locator("#id_note")).to_have_value("to be looked at")
        theirs.fill("#id_note", "looked at")
        theirs.get_by_role("button", name="Save draft").click()
        expect(theirs.locator(".messagelist")).to_contain_text("The draft is saved")

        mine.fill("#id_note", "mine")
        mine.get_by_role("button", name="Save draft").click()
        expect(mine.get_by_text("saved this draft at")).to_be_visible()
        mine.get_by_role("button", name="Save mine over it").click()
        expect(mine.locator("#id_note")).to_have_value("mine")

        mine.get_by_role("button", name="Publish").click()
        mine.get_by_role("button", name="Publish (0 agents)").click()
        mine.wait_for_url("**/change/#progress")
        assert shared_portal.get("configurations/two-people")["revision"] == 2
        assert shared_portal.get("configurations/two-people/drafts")["count"] == 0


def test_a_draft_of_a_new_configuration(visit: Visitor, shared_portal: LiveServer) -> None:
    with visit() as visitor:
        page = visitor.sign_in()
        visitor.go("/admin/configurations/configuration/add/")
        page.fill("#id_name", "begun")
        page.fill("#id_raw_config", "exporters: [\n")
        page.get_by_role("button", name="Save draft").click()
        expect(page.locator("#draft")).to_contain_text("draft of a new configuration")
        expect(page.locator("#problems")).to_contain_text("Line")
        visitor.go("/admin/configurations/configuration/")
        page.get_by_role("link", name="begun").click()
        page.get_by_role("link", name="Discard…").click()
        page.get_by_role("button", name="Discard").click()
        expect(page.locator(".messagelist")).to_contain_text("The draft is discarded")
        assert shared_portal.get("drafts")["count"] == 0
