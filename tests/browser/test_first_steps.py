"""A person who has never seen the portal: from its empty overview to a configuration that an agent applied, by hand."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from typing import Any

from playwright.sync_api import expect

from tests.browser.conftest import DESKTOP, PATIENCE, PHONE, Visit
from tests.live_server import ADMIN_PASSWORD, ROOT, LiveServer

expect.set_options(timeout=PATIENCE)
MOST_SECONDS = 300
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
    begun = time.monotonic()
    page = person.sign_in("admin", ADMIN_PASSWORD)
    done, following = page.locator("#checklist li.is-done"), page.locator("#checklist li.is-next")
    expect(done).to_have_count(0)
    expect(following).to_contain_text("Connect an agent")
    following.get_by_role("link").click()
    expect(page.locator("#snippet-supervisor")).to_contain_text(f"ws://127.0.0.1:{portal.port}/v1/opamp")
    person.go("/admin/")
    command = [sys.executable, "manage.py", "simulate_agents", "--count", "1", "--summary-seconds", "0"]
    command += ["--endpoint", portal.websocket_endpoint, "--labels", "env=first", "--apply-seconds", "0.2"]
    agent = subprocess.Popen(
        command, cwd=ROOT, env=portal.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        # The page is not loaded again: it follows by itself.
        expect(done).to_have_count(2)
        expect(following).to_contain_text("Publish a configuration")
        following.get_by_role("link").click()
        page.get_by_role("link", name=re.compile(r"Use it\s+Gateway")).click()
        expect(page.locator(".cm-content").first).to_contain_text("health_check")
        expect(page.locator("#id_name")).to_have_value("gateway")
        page.locator(".row-key").first.fill("env")
        page.locator(".row-values").first.fill("first")
        expect(page.locator("#matched")).to_have_text("1")
        page.click("#publish")
        page.get_by_role("button", name="Publish (1 agent)").click()
        expect(page.locator("#progress-now")).to_contain_text("1 of 1 applied")
        assert time.monotonic() - begun < MOST_SECONDS
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
