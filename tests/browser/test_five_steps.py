"""By hand through the portal: a configuration is created, matched, offered, applied or refused, and undone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, PHONE, Visitor
from tests.live_server import LiveServer, configuration

expect.set_options(timeout=PATIENCE)
ADD = "/admin/configurations/configuration/add/"
GOOD = """receivers:
  otlp: {protocols: {grpc: {endpoint: 127.0.0.1:4317}}}
exporters:
  debug: {verbosity: normal}
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [debug]}
"""


def connected(server: LiveServer, label: str, number: int) -> list[dict[str, Any]]:
    def found() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = server.get(f"agents?label={label}&connected=true")["results"]
        return rows if len(rows) == number else []

    return server.eventually(found, 40, f"{number} agents of {label} are connected")


def set_row(page: Page, place: int, key: str, values: str, operator: str = "In") -> None:
    row = page.locator(".selector-rows .selector-row").nth(place)
    row.locator(".row-key").fill(key)
    row.locator(".row-operator").select_option(operator)
    if values:
        row.locator(".row-values").fill(values)


def test_the_five_steps_and_back(visit: Visitor, shared_portal: LiveServer, fleet: Callable[..., Any]) -> None:
    """Create with rows and live preview, confirm, watch it applied, edit, watch it, roll back, disable."""
    fleet(3, labels="env=five,region=us-east", seed="5")
    fleet(1, labels="env=five,region=eu", seed="6")
    connected(shared_portal, "env%3Dfive", 4)
    with visit() as person:
        page = person.sign_in()
        person.go("/admin/configurations/configuration/add/")
        page.fill("#id_name", "five")
        set_row(page, 0, "env", "five")
        expect(page.locator("#matched")).to_have_text("4")
        expect(page.locator("#reach .sample li")).to_have_count(4)
        page.get_by_role("button", name="Add a condition").click()
        set_row(page, 1, "region", "us-east, us-west")
        expect(page.locator("#matched")).to_have_text("3")
        page.fill("#id_raw_config", "receivers:\n  otlp: {}\n  otlp: {}\n")
        expect(page.locator("#problems")).to_contain_text("Line 3, column 3")
        expect(page.locator(".cm-lint-marker-error")).to_have_count(1)
        page.locator("#problems button").first.click()
        expect(page.locator(".cm-content")).to_be_focused()
        expect(page.locator(".cm-lineNumbers .cm-activeLineGutter")).to_have_text("3")
        page.fill("#id_raw_config", GOOD)
        expect(page.locator("#problems")).to_contain_text("No problems found")
        expect(page.locator("#publish")).to_have_text("Publish (3 agents)…")
        page.click("#publish")
        expect(page.locator("h1")).to_have_text("Publish five?")
        assert shared_portal.api("GET", "configurations/five").status == 404
        page.get_by_role("button", name="Back to the editor").click()
        expect(page.locator("#id_raw_config")).to_have_value(GOOD)
        expect(page.locator(".selector-row")).to_have_count(2)
        page.click("#publish")
        page.get_by_role("button", name="Publish (3 agents)").click()
        expect(page.locator("#progress-now")).to_contain_text("3 of 3 applied")
        tab = page.locator("nav.tabs")
        tab.get_by_role("link", name="Agents").click()
        expect(page.locator("#assignments .answer-applied")).to_have_count(3)
        tab.get_by_role("link", name="Edit").click()

        page.fill("#id_raw_config", GOOD.replace("normal", "detailed"))
        page.fill("#id_note", "more words")
        page.click("#publish")
        expect(page.locator(".diff-line.ins")).to_contain_text("detailed")
        page.get_by_role("button", name="Publish (3 agents)").click()
        expect(page.locator("h1")).to_contain_text("r2")
        expect(page.locator("#progress-now")).to_contain_text("3 of 3 applied")
        shared_portal.eventually(
            lambda: shared_portal.get("agents?label=env%3Dfive,region%3Dus-east&in_sync=true")["count"] == 3, 30
        )

        tab.get_by_role("link", name="Revisions").click()
        page.locator("ol.revisions > li").nth(1).locator("summary").first.click()
        page.get_by_role("link", name=re.compile("Roll back to revision 1")).click()
        page.get_by_role("button", name="Roll back (3 agents)").click()
        expect(page.locator("h1")).to_contain_text("r3")
        expect(page.locator("#id_raw_config")).to_have_value(GOOD)
        expect(page.locator("#progress-now")).to_contain_text("3 of 3 applied")

        page.locator(".more-menu summary").click()
        page.get_by_role("link", name="Disable…").click()
        expect(page.locator("#content")).to_contain_text("keep what they run")
        page.get_by_role("button", name="Disable (3 agents)").click()
        tab.get_by_role("link", name="Agents").click()
        expect(page.locator("#assignments")).to_contain_text("No agent matches")


def test_a_refused_configuration_is_seen_and_offered_again(
    visit: Visitor, shared_portal: LiveServer, fleet: Callable[..., Any]
) -> None:
    fleet(2, labels="env=refuses", fail_share="1", seed="7")
    (agent, _other) = connected(shared_portal, "env%3Drefuses", 2)
    shared_portal.post("configurations", configuration("refused", {"env": "refuses"}, GOOD))
    with visit() as person:
        page = person.sign_in()
        page.locator(".status-card.card-error").click()
        expect(page.locator(".pill-error")).to_have_count(2)
        page.goto(f"{shared_portal.url}/admin/agents/agent/?q={agent['instance_uid']}")
        page.locator("#result_list tbody a").first.click()
        expect(page.locator("#cards")).to_contain_text("simulated failure")
        page.get_by_role("tab", name="Timeline").click()
        expect(page.locator("#timeline-lines")).to_contain_text("Configuration refused r1 failed: simulated failure")
        page.get_by_role("tab", name="Why this configuration?").click()
        expect(page.locator("#why")).to_contain_text("env=refuses")
        page.locator("#why").get_by_role("button", name="Offer once more").click()
        expect(page.locator(".messagelist")).to_contain_text("offered once more")
        page.get_by_role("tab", name="Timeline").click()
        expect(page.locator("#timeline-lines")).to_contain_text("offered once more")


def test_restart_is_confirmed_and_its_effect_seen(
    visit: Visitor, shared_portal: LiveServer, fleet: Callable[..., Any]
) -> None:
    fleet(1, labels="env=restarts", seed="8")
    (agent,) = connected(shared_portal, "env%3Drestarts", 1)
    with visit() as person:
        page = person.sign_in()
        page.goto(f"{shared_portal.url}/admin/agents/agent/?q={agent['instance_uid']}")
        page.locator("#result_list tbody a").first.click()
        page.get_by_role("link", name="Restart…").click()
        page.get_by_role("button", name="Restart").click()
        page.get_by_role("tab", name="Timeline").click()
        expect(page.locator("#timeline-lines")).to_contain_text("The agent restarted")
        expect(page.locator("#timeline-lines")).to_contain_text("Restart asked for by admin")


def test_edited_labels_match_anew_and_many_agents_are_edited_at_once(
    visit: Visitor, shared_portal: LiveServer, fleet: Callable[..., Any]
) -> None:
    fleet(3, labels="env=labels", seed="9")
    agents = connected(shared_portal, "env%3Dlabels", 3)
    shared_portal.post("configurations", configuration("ring-one", {"ring": "one"}, GOOD))
    shared_portal.post("configurations", configuration("ring-two", {"ring": "two"}, GOOD))
    with visit() as person:
        page = person.sign_in()
        page.goto(f"{shared_portal.url}/admin/agents/agent/?q={agents[0]['instance_uid']}")
        page.locator("#result_list tbody a").first.click()
        page.get_by_role("tab", name="Edit", exact=True).click()
        page.fill("#id_label_lines", "ring=one")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#content")).to_contain_text("ring-one")
        page.get_by_role("button", name="Change the labels").click()
        expect(page.locator("#cards .sync-yes")).to_contain_text("ring-one r1")

        person.go("/admin/agents/agent/?q=env%3Dlabels")
        page.check("#action-toggle")
        page.locator(".actions select").select_option("relabel")
        page.get_by_role("button", name="Go").click()
        expect(page.locator("#content")).to_contain_text("3 reached")
        page.fill("#id_put", "ring=two")
        page.get_by_role("button", name="Show what it would do").click()
        expect(page.locator("#content")).to_contain_text("ring-two")
        page.get_by_role("button", name="Set or remove labels (3 agents)").click()
        expect(page.locator(".messagelist")).to_contain_text("Agents with changed labels: 3")
        expect(page.locator("#result_list .sync-yes")).to_have_count(3)
        expect(page.locator("#result_list")).to_contain_text("ring-two r1")


def test_two_editors_lose_nothing(visit: Visitor, shared_portal: LiveServer) -> None:
    shared_portal.post("configurations", configuration("shared", {"env": "nobody"}, "a: 1\n"))
    with visit() as first, visit() as second:
        pages = []
        for person in (first, second):
            page = person.sign_in()
            person.go("/admin/configurations/configuration/?q=shared")
            page.locator("#result_list tbody a").first.click()
            pages.append(page)
        for page, text in zip(pages, ("b: 1\n", "c: 1\n"), strict=True):
            page.fill("#id_raw_config", text)
            page.click("#publish")
            if text == "b: 1\n":
                page.get_by_role("button", name="Publish (0 agents)").click()
                expect(page.locator("h1")).to_contain_text("r2")
        late = pages[1]
        expect(late.locator(".errornote + .errorlist")).to_contain_text("published revision 2")
        expect(late.locator("#id_raw_config")).to_have_value("c: 1\n")
        late.get_by_role("button", name="Publish mine over revision 2").click()
        late.get_by_role("button", name="Publish (0 agents)").click()
        expect(late.locator("h1")).to_contain_text("r3")
        assert shared_portal.get("configurations/shared")["raw_config"] == "c: 1\n"


def test_the_selector_is_edited_by_keyboard_and_as_text(visit: Visitor, shared_portal: LiveServer) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go(ADD)
        page.locator(".row-key").first.focus()
        page.keyboard.type("os.type")
        page.keyboard.press("Tab")
        page.locator(".row-operator").first.select_option("NotIn")
        page.locator(".row-values").first.focus()
        page.keyboard.type('windows, "a,b"')
        page.keyboard.press("Enter")
        page.keyboard.type("tier")
        page.locator(".row-operator").nth(1).select_option("Exists")
        assert page.locator(".row-values").nth(1).is_hidden()
        page.get_by_role("button", name="Edit as JSON or YAML").click()
        written = page.locator("#id_selector").input_value()
        assert '"values": [\n        "windows",\n        "a,b"\n      ]' in written
        page.fill(
            "#id_selector", "matchLabels: {env: prod}\nmatchExpressions: [{key: v, operator: Gt, values: [0.100]}]"
        )
        page.get_by_role("button", name="Edit as rows").click()
        expect(page.locator(".row-values").nth(1)).to_have_value("0.100")
        expect(page.locator(".selector-row")).to_have_count(2)
        page.locator(".remove-row").nth(1).click()
        expect(page.locator(".selector-row")).to_have_count(1)
        page.check("#id_match_all")
        assert page.locator("#id_selector").input_value() == "{}"
        page.uncheck("#id_match_all")
        assert '"env": "prod"' in page.locator("#id_selector").input_value()


@pytest.mark.parametrize("scripts", [True, False])
def test_files_are_added_edited_and_removed(visit: Visitor, shared_portal: LiveServer, scripts: bool) -> None:
    name = f"files-{scripts}".lower()
    bodies = {"a.yaml": {"body": "a: 1\n"}, "b.yaml": {"body": "b: 1\n", "role": "second"}}
    shared_portal.post("configurations", {"name": name, "selector": {"env": "nobody"}, "files": bodies})
    with visit(java_script_enabled=scripts, viewport=PHONE) as person:
        page = person.sign_in()
        person.go(f"/admin/configurations/configuration/?q={name}")
        page.locator("#result_list tbody a").first.click()
        page.get_by_role("button", name="Add another file").click()
        expect(page.locator(".config-file")).to_have_count(3)
        page.fill("#id_files-2-key", "c.json")
        page.fill("#id_files-2-content_type", "json")
        page.fill("#id_files-2-body", '{"c": [}')
        if scripts:
            page.locator(".file-tabs").get_by_role("tab").first.click()
        page.check("#id_main_removed")
        if scripts:
            expect(page.locator("#problems")).to_contain_text("c.json, line 1")
            page.locator("#problems button").first.click()
            third = page.locator(".config-file").nth(2)
            expect(third.locator(".cm-content")).to_be_focused()
            expect(third.locator(".cm-lint-marker-error")).to_have_count(1)
        assert person.sideways() == 0
        page.fill("#id_files-2-body", '{"c": 1}')
        page.click("#publish")
        page.get_by_role("button", name="Publish (0 agents)").click()
        expect(page.locator(".messagelist")).to_contain_text("Revision 2")
        files = shared_portal.get(f"configurations/{name}")["files"]
        assert set(files) == {"b.yaml", "c.json"}
        assert (files["b.yaml"]["role"], files["c.json"]["content_type"]) == ("second", "application/json")


def test_without_javascript_the_same_form_publishes(
    visit: Visitor, shared_portal: LiveServer, fleet: Callable[..., Any]
) -> None:
    # Whom a selector reaches is asked about where there is anybody to be reached.
    fleet(1, labels="env=not-plain", seed="14")
    connected(shared_portal, "env%3Dnot-plain", 1)
    with visit(java_script_enabled=False) as person:
        page = person.sign_in()
        person.go(ADD)
        page.fill("#id_name", "plain")
        page.fill("#id_selector", '{"env": "plain"}')
        page.fill("#id_raw_config", "a: 1\n")
        page.click("#publish")
        publish = page.get_by_role("button", name="Publish (0 agents)")
        publish.click()
        expect(page.locator(".messagelist")).to_have_count(0)
        page.check("#reach-seen")
        publish.click()
        expect(page.locator(".messagelist")).to_contain_text("Revision 1 of plain is published")
        assert shared_portal.get("configurations/plain")["selector"] == {"env": "plain"}
