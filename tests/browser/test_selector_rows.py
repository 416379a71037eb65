"""Rows of conditions in the forms of packages, connection settings and variables, and how many agents they mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser import axe
from tests.browser.conftest import DESKTOP, PATIENCE, PHONE, Visitor
from tests.browser.test_five_steps import connected, set_row
from tests.live_server import LiveServer

expect.set_options(timeout=PATIENCE)


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desk", "phone"])
def test_a_variable_for_agents_that_rows_name(
    visit: Visitor, shared_portal: LiveServer, fleet: Callable[..., Any], viewport: dict[str, int]
) -> None:
    region = f"rows-{viewport['width']}"
    fleet(2, labels=f"env=rows,region={region}", seed=str(viewport["width"]))
    connected(shared_portal, f"region%3D{region}", 2)
    name = f"rows_{viewport['width']}"
    with visit(viewport=viewport) as person:
        page = person.sign_in()
        person.go("/admin/variables/variable/add/")
        assert person.sideways() <= 0
        page.fill("#id_name", name)
        page.fill("#id_value", "x")
        # A variable is for all agents unless it is said for whom.
        page.uncheck("#id_match_all")
        set_row(page, 0, "env", "rows")
        page.get_by_role("button", name="Add a condition").click()
        set_row(page, 1, "region", region)
        expect(page.locator(".selector-reach")).to_contain_text("2 agents match")
        assert page.locator("#label-keys option[value=env]").count() == 1
        assert axe.violations(page) == []
        page.get_by_role("button", name="Edit as JSON or YAML").click()
        page.fill("#id_selector", "env: [")
        expect(page.locator(".selector-reach")).to_contain_text("look at line 1")
        page.fill("#id_selector", f"env: rows\nregion: {region}\n")
        page.get_by_role("button", name="Edit as rows").click()
        expect(page.locator(".selector-row")).to_have_count(2)
        page.locator("[name=_save]").click()
        expect(page.locator(".messagelist")).to_contain_text(name)
    (made,) = [row for row in shared_portal.get("variables")["results"] if row["name"] == name]
    assert made["selector"] == {"env": "rows", "region": region}


@pytest.mark.parametrize("form", ["packages/package", "connections/connectionsettings"])
def test_for_all_agents_the_rows_are_out_of_use(visit: Visitor, shared_portal: LiveServer, form: str) -> None:
    with visit(locale="zh-CN") as person:
        page = person.sign_in()
        person.go(f"/admin/{form}/add/")
        expect(page.locator(".selector-row")).to_have_count(1)
        expect(page.locator("#id_selector")).to_be_hidden()
        page.check("#id_match_all")
        expect(page.locator(".selector-reach")).to_contain_text("匹配")
        expect(page.locator(".selector-row .row-key")).to_be_disabled()
