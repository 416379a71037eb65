"""The pages beside those of agents and configurations, with two hundred agents; also forms filled in wrong, and errors.

Each is short, shows nothing sideways, keeps nobody out, and breaks no rule of its own policy; in both languages and schemes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.browser import axe
from tests.browser.conftest import PHONE, Visit, Visitor
from tests.browser.seeded_rows import LONG
from tests.live_server import LiveServer

MOST_PIXELS = 2_500
WIDE = {"width": 1280, "height": 900}
# Forms that are sent as they come, so that they say what is missing.
SENT_EMPTY = (
    "packages/package/add/",
    "connections/connectionsettings/add/",
    "variables/variable/add/",
    "variables/secret/add/",
    "accounts/user/add/",
    "accounts/apitoken/add/",
    "connect/",
    "password_change/",
)
_SEED = "from tests.browser import seeded_rows; seeded_rows.{}()"
_SEND = """() => { const form = document.querySelector("#content form[method=post]"); form.noValidate = true;
form.querySelector("[type=submit]").click(); }"""


@pytest.fixture(scope="module")
def paths(shared_portal: LiveServer) -> Iterator[list[str]]:
    """All that only shows or asks."""
    key = json.loads(shared_portal.manage("shell", "-v0", "-c", _SEED.format("print_seeded")))
    package, settings = f"packages/package/{key['package']}/", f"connections/connectionsettings/{key['settings']}/"
    certificates = "certificates/agentcertificate/"
    ends = [
        *(f"{package}{end}" for end in ("change/", "delete/", "history/", "policy/", "versions/add/")),
        *(f"{package}versions/{key['version']}/{end}/" for end in ("upload", "release", "delete")),
        "packages/package/?q=nothing-like-it",
        "connections/connectionsettings/",
        *(f"{settings}{end}/" for end in ("change", "move", "delete", "history", "versions/1/release")),
        "enrolment/enrolmenttoken/",
        f"enrolment/enrolmenttoken/{key['token']}/change/",
        f"enrolment/enrolmenttoken/{key['token']}/revoke/",
        f"enrolment/enrolmenttoken/{key['revoked']}/change/",
        certificates,
        *(f"{certificates}{key[name]}/change/" for name in ("pending", "ending")),
        "jobs/job/",
        *(f"jobs/job/{key[name]}/change/" for name in ("done", "failed")),
        "accounts/auditentry/",
        f"accounts/auditentry/{key['entry']}/change/",
        *(f"variables/{name}/{key[name]}/{end}/" for name in ("variable", "secret") for end in ("change", "delete")),
        "variables/secret/",
        f"rollouts/freeze/{key['freeze']}/change/",
        *(f"accounts/user/{key['person']}/{end}/" for end in ("change", "password", "delete", "history")),
        f"auth/group/{key['role']}/change/",
        f"auth/group/{key['role']}/delete/",
        *(f"accounts/apitoken/{key['issued']}/{end}/" for end in ("change", "delete")),
        f"configurations/pin/pin/{key['agent']}/",
        f"rollouts/freeze/pause/{key['agent']}/",
        "agents/agent/prune/",
        "compare/",
    ]
    yield [f"/admin/{end}" for end in ends]
    shared_portal.manage("shell", "-v0", "-c", _SEED.format("forget"))


class Walk:
    """Looks at one page after the other and remembers what is wrong."""

    def __init__(self, person: Visit, language: str) -> None:
        self.person = person
        self.language = language
        self.found: list[str] = []

    def look(self, path: str) -> None:
        """At the page that is open."""
        page = self.person.page
        if page.evaluate("document.documentElement.lang") != self.language:
            self.found.append(f"{path} speaks another language")
        if (wider := self.person.sideways()) > 0:
            self.found.append(f"{path} is {wider} pixels too wide")
        height = page.evaluate("document.documentElement.scrollHeight")
        if page.viewport_size == WIDE and height > MOST_PIXELS:
            self.found.append(f"{path} is {height} pixels high")
        if len(page.locator("h1").all()) != 1:
            self.found.append(f"{path} has no heading, or several")
        self.found += [f"{path}: {text}" for text in axe.violations(page)]


@pytest.mark.parametrize(
    ("language", "scheme", "viewport"),
    [("en", "light", WIDE), ("zh-hans", "dark", PHONE)],
)
def test_every_other_page(
    visit: Visitor, paths: list[str], language: str, scheme: str, viewport: dict[str, int]
) -> None:
    with visit(viewport=viewport, color_scheme=scheme, locale="zh-CN" if language != "en" else "en-US") as person:
        page = person.sign_in()
        walk = Walk(person, language)
        for path in paths:
            person.go(path)
            walk.look(path)
        for end in SENT_EMPTY:
            person.go(f"/admin/{end}")
            with page.expect_navigation():
                page.evaluate(_SEND)
            page.wait_for_selector(".errorlist")
            walk.look(f"{end}, sent empty")
            # Leaving what was not saved would be asked about.
            page.evaluate("document.querySelector('[data-unsaved]')?.remove()")
        for path in ("/admin/nothing/here/", "/admin/accounts/auditentry/?strange=1"):
            page.goto(person.server.url + path)
            walk.look(path)
            assert page.locator(".portal-menu, .phone-menu").count() > 0, path
        # Of those two the browser itself reports the status.
        person.faults = [fault for fault in person.faults if "status of 40" not in fault]
        assert not walk.found, "\n".join(walk.found)


def test_times_are_in_ones_own_zone_and_exact_on_hover(visit: Visitor, paths: list[str]) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go("/admin/preferences/")
        page.select_option("#id_time_zone", "Asia/Shanghai")
        page.check("input[name=density][value=compact]")
        page.get_by_role("button", name="Save").click()
        try:
            for path in ("/admin/enrolment/enrolmenttoken/", "/admin/accounts/auditentry/", "/admin/packages/package/"):
                person.go(path)
                assert page.locator("#result_list time").first.get_attribute("datetime").endswith("+08:00"), path
                assert page.locator("#result_list time[title$='CST'], #result_list .field-when time").count() > 0, path
                padding = page.evaluate("getComputedStyle(document.querySelector('#result_list tbody td')).paddingTop")
                assert float(padding.removesuffix("px")) <= 3, path
        finally:
            person.go("/admin/preferences/")
            page.select_option("#id_time_zone", "")
            page.check("input[name=density][value=comfortable]")
            page.get_by_role("button", name="Save").click()


def test_keys_lead_to_the_other_tasks(visit: Visitor, paths: list[str]) -> None:
    with visit(locale="zh-CN") as person:
        page = person.sign_in()
        page.keyboard.press("?")
        assert "软件包" in page.locator("#shortcuts").inner_text()
        page.keyboard.press("Escape")
        page.keyboard.press("g")
        page.keyboard.press("p")
        page.wait_for_url("**/packages/package/")
        assert LONG in page.locator("#result_list").inner_text()
