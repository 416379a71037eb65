"""A person who has never seen the portal: from its empty overview to a configuration that an agent applied, by hand."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections import Counter
from typing import Any

from playwright.sync_api import Locator, expect

from tests.browser.conftest import DESKTOP, PATIENCE, PHONE, Visit
from tests.live_server import ADMIN_PASSWORD, ROOT, LiveServer

expect.set_options(timeout=PATIENCE)
# From the empty overview to an agent that runs a configuration; what a slow machine takes says nothing of the way.
MOST_CLICKS = 7
# What a window of a phone adds: nothing scrolls sideways.
WINDOWS: tuple[dict[str, Any], ...] = (
    {"viewport": DESKTOP, "color_scheme": "light"},
    {"viewport": PHONE, "color_scheme": "dark"},
)


def test_from_nothing_to_an_applied_configuration(browser: Any, portal: LiveServer) -> None:
    for window in WINDOWS[1:]:
        context = browser.new_context(**window)
        person = Visit(context, portal)
        person.sign_in("admin", ADMIN_PASSWORD)
        expect(person.page.locator("#checklist li")).to_have_count(4)
        assert person.sideways() == 0
        person.go("/admin/configurations/configuration/templates/")
        assert person.sideways() == 0
        assert not person.faults, person.faults
        context.close()
    context = browser.new_context(**WINDOWS[0])
    person = Visit(context, portal)
    clicks = Counter[str]()

    def click(what: Locator) -> None:
        what.click()
        clicks["all"] += 1

    page = person.sign_in("admin", ADMIN_PASSWORD)
    done, following = page.locator("#checklist li.is-done"), page.locator("#checklist li.is-next")
    expect(done).to_have_count(0)
    expect(following).to_contain_text("Connect an agent")
    click(following.get_by_role("link"))
    expect(page.locator("#snippet-supervisor")).to_contain_text(f"ws://127.0.0.1:{portal.port}/v1/opamp")
    page.get_by_label("Name").fill("first")
    page.get_by_label("Labels").fill("env=first")
    click(page.get_by_role("button", name="Make the token"))
    # What the page says to type, as it says it.
    python, *words = shlex.split(page.locator("#snippet-simulate").inner_text())
    assert python.endswith("python")
    agent = subprocess.Popen(
        [sys.executable, *words, "--count", "1", "--apply-seconds", "0.2", "--summary-seconds", "0"],
        cwd=ROOT,
        env=portal.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        # The page is not loaded again: it follows by itself.
        click(page.locator("#came").get_by_role("link", name="On with the first steps"))
        expect(done).to_have_count(2)
        expect(following).to_contain_text("Publish a configuration")
        click(following.get_by_role("link"))
        click(page.get_by_role("link", name=re.compile(r"Use it\s+Gateway")))
        expect(page.locator(".cm-content").first).to_contain_text("health_check")
        expect(page.locator("#id_name")).to_have_value("gateway")
        page.locator(".row-key").first.fill("env")
        page.locator(".row-values").first.fill("first")
        expect(page.locator("#matched")).to_have_text("1")
        click(page.locator("#publish"))
        click(page.get_by_role("button", name="Publish (1 agent)"))
        expect(page.locator("#progress-now")).to_contain_text("1 of 1 applied")
        assert clicks["all"] <= MOST_CLICKS
        person.go("/admin/")
        expect(page.locator("#checklist")).to_have_count(0)
        assert not person.faults, person.faults
    finally:
        agent.terminate()
        agent.wait(20)
    context.close()


def test_it_is_dismissed(browser: Any, portal: LiveServer) -> None:
    context = browser.new_context(**WINDOWS[0])
    person = Visit(context, portal)
    page = person.sign_in("admin", ADMIN_PASSWORD)
    page.get_by_role("button", name="Do not show this again").click()
    expect(page.locator("#fleet")).to_be_visible()
    expect(page.locator("#checklist")).to_have_count(0)
    assert not person.faults, person.faults
    context.close()
