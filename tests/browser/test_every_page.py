"""Every page, in both languages, light and dark, on a desk and on a phone: no error, no stranger, nobody kept out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser import axe
from tests.browser.conftest import DESKTOP, PATIENCE, PHONE, Visitor
from tests.live_server import LiveServer, configuration

expect.set_options(timeout=PATIENCE)
TEXT = "exporters:\n  debug: {}\n"
VIEWER_PASSWORD = "only-looking-1"
ATTACK = "<img src=x onerror=alert(1)>"
_MAKE_VIEWER = f"""
from django.contrib.auth.models import Group
from accounts.models import User
from accounts.services import VIEWER, ensure_roles
ensure_roles()
user = User.objects.create_user("looks", password="{VIEWER_PASSWORD}", is_staff=True)
user.groups.add(Group.objects.get(name=VIEWER))
"""


@pytest.fixture(scope="module")
def pages(shared_portal: LiveServer, fleet: Callable[..., Any]) -> Places:
    """All kinds of pages, with something on each. Names, labels and texts try to be markup."""
    fleet(4, labels=f"env=pages,attack={ATTACK}", seed="11")
    fleet(1, labels="env=pages", fail_share="1", seed="12")
    server = shared_portal
    server.eventually(lambda: server.get("agents?label=env%3Dpages&connected=true")["count"] == 5, 40)
    hostile = f'exporters:\n  debug: {{verbosity: "{ATTACK}"}}\n'
    body = configuration("pages", {"env": "pages"}, hostile, display_name=ATTACK, description=ATTACK)
    server.post("configurations", body)
    server.post("configurations/pages/drafts", {"note": ATTACK, "raw_config": f"a: [{ATTACK}"})
    server.post("configurations", {**body, "name": "gone-page", "selector": {"env": "nowhere"}})
    assert server.api("DELETE", "configurations/gone-page").status == 204
    server.eventually(lambda: server.get("agents?label=env%3Dpages&status=error")["count"] == 1, 40)
    uid = server.get("agents?label=env%3Dpages&status=connected")["results"][0]["instance_uid"]
    answer = server.api(
        "PATCH", f"agents/{uid}", {"name": ATTACK, "notes": ATTACK, "operator_labels": {"team": ATTACK}}
    )
    assert answer.status == 200, answer
    return Places(server, uid)


class Places:
    """Where the pages are: ``agent`` and ``configuration`` without what is done there, ``every`` all kinds of pages."""

    def __init__(self, server: LiveServer, uid: str) -> None:
        found = "from agents.models import Agent; from configurations.models import Configuration; "
        found += "from configurations.models import ConfigurationDraft, DeletedConfiguration; "
        found += f"print(Agent.objects.get(instance_uid='{uid}').pk, Configuration.objects.get(name='pages').pk, "
        found += "ConfigurationDraft.objects.get().pk, DeletedConfiguration.objects.get().pk)"
        agent, configuration, draft, deleted = server.manage("shell", "-v0", "-c", found).split()
        self.agent = f"/admin/agents/agent/{agent}/"
        self.configuration = f"/admin/configurations/configuration/{configuration}/"
        fleet, configurations = "/admin/agents/agent/", "/admin/configurations/configuration/"
        self.every = [
            "/admin/",
            *(fleet + end for end in ("", "?status=error", "?q=nothing-like-it", "?q=evn%3Dx")),
            *(fleet + end for end in ("columns/", "columns/?column=nope", "views/", "views/add/", "?q=&group=env")),
            *(self.agent + end for end in ("change/", "timeline/", "restart/", "delete/", "history/")),
            *(
                configurations + end
                for end in ("", "add/", "templates/", f"drafts/{draft}/", f"drafts/{draft}/discard/")
            ),
            *(
                f"/admin/configurations/deletedconfiguration/{end}"
                for end in ("", *(f"{deleted}/{what}/" for what in ("change", "restore", "delete")))
            ),
            *(self.configuration + end for end in ("change/", "switch/", "delete/", "rollback/1/", "history/")),
            *(f"/admin/accounts/{end}" for end in ("apitoken/", "apitoken/add/", "auditentry/", "user/", "user/add/")),
            *(
                f"/admin/{end}"
                for end in ("connect/", "auth/group/", "auth/group/1/change/", "accounts/user/1/change/")
            ),
            "/admin/password_change/",
            "/admin/preferences/",
            "/admin/running/",
            "/admin/?history=30d",
            *(f"{self.configuration}change/?tab={tab}" for tab in ("agents", "revisions", "rollouts", "graph")),
            *(
                f"/admin/{end}/"
                for end in ("rollouts/rollout", "rollouts/freeze", "packages/package", "variables/variable")
            ),
        ]


def test_the_menu_is_opened_by_touch(visit: Visitor, pages: Places) -> None:
    with visit(viewport=PHONE) as person:
        page = person.sign_in()
        page.locator(".phone-menu summary").click()
        page.locator(".phone-menu").get_by_role("link", name="Rollouts").click()
        expect(page.locator("h1")).to_have_text("Rollouts")


def test_keys_lead_somewhere_unless_somebody_types(visit: Visitor, pages: Places) -> None:
    with visit() as person:
        page = person.sign_in()
        page.keyboard.press("?")
        expect(page.locator("#shortcuts")).to_be_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("g")
        page.keyboard.press("a")
        page.wait_for_url("**/agents/agent/")
        page.keyboard.press("/")
        expect(page.locator("#searchbar")).to_be_focused()
        page.keyboard.type("g c / ?")
        expect(page.locator("#searchbar")).to_have_value("g c / ?")
        assert page.locator("#shortcuts").is_hidden()


@pytest.mark.parametrize(
    ("language", "scheme", "viewport"),
    [("en", "light", DESKTOP), ("en", "dark", PHONE), ("zh-hans", "dark", DESKTOP), ("zh-hans", "light", PHONE)],
)
def test_no_page_errs_loads_strangers_scrolls_sideways_or_keeps_people_out(
    visit: Visitor, pages: Places, language: str, scheme: str, viewport: dict[str, int]
) -> None:
    """Nothing serious or critical that axe-core knows."""
    violations: dict[str, list[str]] = {}
    with visit(viewport=viewport, color_scheme=scheme, locale="zh-CN" if language != "en" else "en-US") as person:
        page = person.sign_in()
        for path in pages.every:
            person.go(path)
            if grave := axe.violations(page):
                violations[path] = grave
            assert page.evaluate("document.documentElement.lang") == language
            assert person.sideways() <= 0, path
            for tab in page.get_by_role("tab").all():
                tab.click()
                assert person.sideways() <= 0, (path, tab.inner_text())
            assert page.locator("img[src='x']").count() == 0, path
            background = page.evaluate("getComputedStyle(document.body).backgroundColor")
            brightness = sum(int(part) for part in background[4:-1].split(","))
            assert (brightness < 200) == (scheme == "dark"), (path, background)
    assert not violations, "\n".join(f"{path}: {grave}" for path, grave in violations.items())


def test_what_agents_report_is_shown_as_text(visit: Visitor, pages: Places) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go(pages.agent + "change/")
        expect(page.locator("h1")).to_contain_text(ATTACK)
        expect(page.locator("#overview")).to_contain_text(ATTACK)
        page.get_by_role("tab", name="Effective configuration").click()
        expect(page.locator("#effective")).to_contain_text(ATTACK)
        page.get_by_role("tab", name="Timeline").click()
        expect(page.locator("#timeline")).to_contain_text(ATTACK)


def test_tabs_work_by_keyboard_and_focus_is_seen(visit: Visitor, pages: Places) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go(pages.agent + "change/")
        page.get_by_role("tab", name="Overview").focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name="Health tree")).to_be_focused()
        assert page.locator("#health").is_visible()
        assert page.locator("#overview").is_hidden()
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline not in {"none", ""}


def test_what_is_shown_can_be_copied(visit: Visitor, pages: Places) -> None:
    with visit(permissions=["clipboard-read", "clipboard-write"]) as person:
        page = person.sign_in()
        person.go(pages.agent + "change/#effective")
        shown = page.locator("#effective-1").inner_text()
        page.locator("#effective button.copy").click()
        expect(page.locator("#effective button.copy")).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()").strip() == shown.strip()


def test_the_language_is_switched_and_kept(visit: Visitor, pages: Places) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go("/admin/agents/agent/")
        page.get_by_role("button", name="简体中文").click()
        expect(page.locator(".pill-connected").first).to_contain_text("已连接")
        person.go("/admin/")
        expect(page.locator("h1")).to_have_text("概览")
        page.get_by_role("button", name="English").click()
        expect(page.locator("h1")).to_have_text("Overview")


def test_the_colours_are_switched_by_hand(visit: Visitor, pages: Places) -> None:
    with visit(color_scheme="light") as person:
        page = person.sign_in()
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.locator("button.theme-toggle").first.click()
        page.wait_for_function("before => getComputedStyle(document.body).backgroundColor !== before", arg=before)


def test_a_viewer_only_looks(visit: Visitor, shared_portal: LiveServer, pages: Places) -> None:
    shared_portal.manage("shell", "-v0", "-c", _MAKE_VIEWER)
    with visit() as person:
        page = person.sign_in("looks", VIEWER_PASSWORD)
        expect(page.locator("#fleet")).to_contain_text("agents")
        person.go("/admin/agents/agent/")
        assert page.locator(".actions").count() == 0
        person.go(pages.agent + "change/")
        assert page.locator("#content-main input:not([type=hidden]), #content-main textarea").count() == 0
        assert page.get_by_role("link", name="Restart…").count() == 0
        person.go(pages.configuration + "change/")
        expect(page.locator("#content")).to_contain_text("verbosity")
        assert page.locator("#content textarea, #content input:not([type=hidden])").count() == 0
        assert page.get_by_role("link", name="Disable…").count() == 0


def test_pages_follow_the_fleet_and_can_be_paused(visit: Visitor, shared_portal: LiveServer, pages: Places) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go("/admin/agents/agent/?q=follows")
        expect(page.locator("#content")).to_contain_text("Total: 0")
        person.go(pages.agent + "change/")
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#live .live-word")).to_have_text("paused")
        page.get_by_role("button", name="Resume").click()
        uid = page.locator("#agent-uid").inner_text()
        answer = shared_portal.api("PATCH", f"agents/{uid}", {"operator_labels": {"env": "elsewhere"}})
        assert answer.status == 200
        expect(page.locator("#cards")).to_contain_text("no configuration matches")
        assert shared_portal.api("PATCH", f"agents/{uid}", {"operator_labels": {"team": ATTACK}}).status == 200
        expect(page.locator("#cards .sync-yes")).to_contain_text("pages r1")


def test_the_whole_list_follows_the_fleet_or_says_why_not(
    visit: Visitor, shared_portal: LiveServer, pages: Places
) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go("/admin/agents/agent/?q=env%3Dpages")
        word, counter = page.locator("#live .live-word"), page.locator(".action-counter")
        expect(word).to_have_text("live")
        page.locator("#result_list input.action-select").first.check()
        expect(word).to_have_text("paused: rows are selected")
        expect(counter).to_have_text("1 of 5 selected")
        page.get_by_role("button", name="Resume").click()
        expect(word).to_have_text("live")
        expect(counter).to_have_text("0 of 5 selected")
        shared_portal.change(
            "UPDATE agents_agent SET os_type = 'plan9' WHERE id IN "
            "(SELECT MAX(id) FROM agents_agent WHERE CAST(labels AS text) LIKE '%pages%')"
        )
        # Which nobody heard of; what is edited the page is told.
        found = shared_portal.get("agents?label=env%3Dpages")["results"][0]["instance_uid"]
        assert shared_portal.api("PATCH", f"agents/{found}", {"notes": "looked at"}).status == 200
        for part in ("#result_list", "#changelist-filter"):
            expect(page.locator(part)).to_contain_text("plan9")
        # Rows that came later are chosen as the first ones were.
        page.check("#action-toggle")
        expect(counter).to_have_text("5 of 5 selected")
        expect(page.locator("#result_list tr.selected")).to_have_count(5)


def test_the_dashboard_teaches_while_there_is_no_agent(browser: Any, portal: LiveServer) -> None:
    page = browser.new_page()
    page.goto(f"{portal.url}/admin/")
    page.fill("#id_username", "admin")
    page.fill("#id_password", "a-password-for-tests")
    page.click("input[type=submit]")
    expect(page.locator("#snippet-supervisor")).to_contain_text(f"ws://127.0.0.1:{portal.port}/v1/opamp")
    expect(page.get_by_role("link", name="Create the first configuration")).to_be_visible()
    page.locator(".status-card").first.click()
    expect(page.locator(".empty-state")).to_contain_text("No agent has connected yet")
    page.close()
