"""Columns of the list are chosen by hand: with buttons, with keys, and with numbers where no script runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import violations
from tests.browser.conftest import PATIENCE, Visitor
from tests.live_server import LiveServer

expect.set_options(timeout=PATIENCE)
LIST = "/admin/agents/agent/"
HEADS = "#result_list thead th:not(.action-checkbox-column)"


@pytest.fixture(scope="module", autouse=True)
def some(shared_portal: LiveServer, fleet: Callable[..., Any]) -> None:
    fleet(3, labels="env=columns,team=shop", seed="61")
    wanted = "agents?label=env%3Dcolumns&connected=true"
    shared_portal.eventually(lambda: shared_portal.get(wanted)["count"] == 3, 40)


def heads(page: Page) -> list[str]:
    expect(page.locator(HEADS).first).to_be_visible()
    return [text.strip() for text in page.locator(HEADS).all_inner_texts()]


def row(page: Page, name: str) -> Any:
    return page.locator(f".column-row:has(input[value='{name}'])")


def test_with_buttons_and_keys(visit: Visitor) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go(f"{LIST}?q=env%3Dcolumns")
        page.get_by_role("link", name="Columns and groups").click()
        for name in ("os_type", "last_seen_at", "labels", "service_name"):
            row(page, name).get_by_role("checkbox").uncheck()
        team = row(page, "label:team")
        expect(team).to_contain_text("3 agents")
        team.get_by_role("checkbox").check()
        expect(page.locator("#columns-said")).to_have_text("team: place 8")
        assert not violations(page)
        for _ in range(4):
            page.keyboard.press("ArrowUp")
        expect(team.get_by_role("checkbox")).to_be_focused()
        row(page, "label:team").get_by_role("button", name="Up").click()
        row(page, "configuration").get_by_role("button", name="Up").focus()
        for _ in range(4):
            page.keyboard.press("Enter")
        page.get_by_role("button", name="Show").click()
        assert heads(page) == ["Name", "Configuration", "Status", "Team"]
        expect(page.locator("#searchbar")).to_have_value("env=columns")
        page.get_by_role("link", name="Save as a view").click()
        page.fill("#id_name", "By hand")
        page.get_by_role("button", name="Save").click()
        shown = heads(page)
        page.get_by_role("link", name="By hand").click()
        assert heads(page) == shown
        page.get_by_role("link", name="Edit the view").click()
        assert not violations(page)


def test_without_scripts_numbers_say_the_order(visit: Visitor) -> None:
    with visit(java_script_enabled=False) as person:
        page = person.sign_in()
        person.go(f"{LIST}columns/?q=env%3Dcolumns&columns=name,status")
        row(page, "name").locator("input[type=number]").fill("3")
        row(page, "label:team").get_by_role("checkbox").check()
        row(page, "label:team").locator("input[type=number]").fill("1")
        page.get_by_role("button", name="Show").click()
        assert page.url.endswith("q=env%3Dcolumns&columns=label%3Ateam%2Cstatus%2Cname")
