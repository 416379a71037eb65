"""The editor of configurations in a real browser: it shows problems, completes, compares, and the form stays what is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PATIENCE, PHONE, Visit, Visitor
from tests.live_server import LiveServer, configuration

expect.set_options(timeout=PATIENCE)
CONFIGURATIONS = "/admin/configurations/configuration/"
ADD = f"{CONFIGURATIONS}add/"
TEXT = """receivers:
  otlp: {protocols: {grpc: {endpoint: 127.0.0.1:4317}}}
exporters:
  debug: {verbosity: normal}
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [debug]}
"""
# What may travel for the page with the editor, compressed.
MOST_BYTES = 500 * 1024


def page_of(server: LiveServer, name: str) -> str:
    found = f"from configurations.models import Configuration; print(Configuration.objects.get(name='{name}').pk)"
    return f"{CONFIGURATIONS}{server.manage('shell', '-v0', '-c', found).strip()}/change/"


def caret_at_the_end(page: Page) -> None:
    page.locator(".cm-content").first.click()
    page.keyboard.press("Control+End")


@pytest.mark.parametrize(("scheme", "viewport"), [("light", DESKTOP), ("dark", PHONE)])
def test_what_is_typed_is_checked_at_its_line_and_sent(
    visit: Visitor, shared_portal: LiveServer, scheme: str, viewport: dict[str, int]
) -> None:
    name = f"typed-{scheme}"
    with visit(color_scheme=scheme, viewport=viewport) as person:
        page = person.sign_in()
        person.go(ADD)
        page.fill("#id_name", name)
        page.locator(".row-key").first.fill("env")
        page.locator(".row-values").first.fill("nobody")
        caret_at_the_end(page)
        page.keyboard.insert_text(TEXT.replace("[debug]", "[debog]"))
        expect(page.locator("#id_raw_config")).to_have_value(TEXT.replace("[debug]", "[debog]"))
        mark = page.locator(".cm-lint-marker-error")
        expect(mark).to_have_count(1)
        # In the gutter it stands beside the line that the list names.
        expect(page.locator("#problems")).to_contain_text("Line 7")
        line = page.locator(".cm-lineNumbers .cm-gutterElement", has_text="7").last
        assert abs(line.bounding_box()["y"] - mark.bounding_box()["y"]) < line.bounding_box()["height"]  # type: ignore[index]
        mark.hover()
        expect(page.locator(".cm-tooltip .cm-diagnostic")).to_contain_text("debog")
        background = page.locator(".cm-editor").evaluate("(box) => getComputedStyle(box).backgroundColor")
        assert (sum(int(part) for part in background[4:-1].split(",")) < 200) == (scheme == "dark"), background
        page.fill("#id_raw_config", TEXT)
        expect(page.locator(".cm-content").first).to_contain_text("[debug]")
        expect(mark).to_have_count(0)
        assert person.sideways() == 0
        page.click("#publish")
        page.get_by_role("button", name="Publish (0 agents)").click()
        if page.locator("#reach-seen").is_visible():
            page.check("#reach-seen")
            page.get_by_role("button", name="Publish (0 agents)").click()
        expect(page.locator(".messagelist")).to_contain_text(f"Revision 1 of {name}")
        assert shared_portal.get(f"configurations/{name}")["raw_config"] == TEXT


def test_a_problem_leads_to_its_line(visit: Visitor) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go(ADD)
        page.fill("#id_raw_config", "receivers:\n  otlp: {}\n" + "# more\n" * 60 + "  otlp: {}\n")
        page.locator("#problems button").first.click()
        expect(page.locator(".cm-content").first).to_be_focused()
        expect(page.locator(".cm-activeLine")).to_have_text("  otlp: {}")
        expect(page.locator(".cm-activeLineGutter", has_text="63")).to_be_visible()


def test_typing_asks_seldom(visit: Visitor) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go(ADD)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/problems/") else None)
        caret_at_the_end(page)
        page.keyboard.type("# a comment of forty-four letters, no less!!", delay=20)
        expect(page.locator("#problems")).not_to_contain_text("Checked before")
        assert 1 <= len(asked) <= 4, asked


def test_components_settings_and_references_are_completed(
    visit: Visitor, shared_portal: LiveServer, fleet: Callable[..., Any]
) -> None:
    shared_portal.post("variables", {"name": "collector_address", "value": "x", "match_all": True})
    with visit() as person:
        page = person.sign_in()
        person.go(ADD)
        menu = page.locator(".cm-tooltip-autocomplete")

        def completed(before: str, typed: str, option: str) -> None:
            page.fill("#id_raw_config", before)
            caret_at_the_end(page)
            page.keyboard.type(typed, delay=30)
            expect(menu.get_by_role("option", name=option).first).to_be_visible()
            page.keyboard.press("Escape")

        completed("", "rec", "receivers")
        completed("receivers:\n  ", "host", "hostmetrics")
        completed("exporters:\n  otlp:\n    ", "sending", "sending_queue")
        completed("exporters:\n  otlp:\n    compression: ", "zs", "zstd")
        pipelines = "exporters:\n  debug/second: {}\nservice:\n  pipelines:\n    traces:\n      exporters: "
        completed(pipelines, "[deb", "debug/second")
        completed("a: ", "${env:K8S", "env:K8S_NODE_NAME".removeprefix("env:"))
        completed("a: ", "{{ vars.", "collector_address")
        page.fill("#id_raw_config", "receivers:\n  ")
        caret_at_the_end(page)
        page.keyboard.type("hostm", delay=30)
        expect(menu.get_by_role("option", name="hostmetrics", exact=True)).to_be_visible()
        page.wait_for_timeout(150)
        page.keyboard.press("Enter")
        expect(page.locator("#id_raw_config")).to_have_value("receivers:\n  hostmetrics:")


def test_files_are_tabs(visit: Visitor, shared_portal: LiveServer) -> None:
    bodies = {"a.yaml": {"body": "a: 1\n"}, "b.json": {"body": '{"b": 1}', "content_type": "json"}}
    shared_portal.post("configurations", {"name": "tabs", "selector": {"env": "nobody"}, "files": bodies})
    with visit() as person:
        page = person.sign_in()
        person.go(page_of(shared_portal, "tabs"))
        tabs = page.locator("#files-heading ~ .file-tabs").get_by_role("tab")
        expect(tabs).to_have_text(["a.yaml", "b.json"])
        expect(page.locator(".config-file").nth(1)).to_be_hidden()
        tabs.first.focus()
        page.keyboard.press("ArrowRight")
        expect(tabs.nth(1)).to_be_focused()
        expect(page.locator(".config-file").first).to_be_hidden()
        page.locator(".config-file").nth(1).locator(".cm-content").click()
        page.keyboard.press("Control+End")
        page.keyboard.type("!")
        expect(tabs.nth(1)).to_contain_text("✖ 1")
        tabs.first.click()
        page.locator("#problems button").first.click()
        expect(tabs.nth(1)).to_have_attribute("aria-selected", "true")
        page.click("#add-file")
        expect(tabs).to_have_count(3)
        page.fill("#id_files-2-key", "c.toml")
        expect(tabs.nth(2)).to_contain_text("c.toml")
        page.evaluate("document.getElementById('configuration_form').reset()")


def test_the_text_is_compared_with_what_is_live(visit: Visitor, shared_portal: LiveServer) -> None:
    shared_portal.post("configurations", configuration("compared", {"env": "nobody"}, TEXT))
    answer = shared_portal.api(
        "POST", "configurations/compared/drafts", {"raw_config": TEXT.replace("normal", "basic")}
    )
    draft = answer.json["id"]
    with visit() as person:
        page = person.sign_in()
        person.go(f"{CONFIGURATIONS}drafts/{draft}/")
        button = page.get_by_role("button", name="Compare with what is live")
        expect(page.locator(".cm-deletedChunk")).to_have_count(0)
        button.click()
        expect(page.locator(".cm-deletedChunk")).to_contain_text("verbosity: normal")
        expect(page.locator(".cm-changedLine")).to_contain_text("verbosity: basic")
        expect(button).to_have_attribute("aria-pressed", "true")
        button.click()
        expect(page.locator(".cm-deletedChunk")).to_have_count(0)


def test_the_keyboard_searches_and_leaves(visit: Visitor) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go(ADD)
        page.fill("#id_raw_config", TEXT)
        caret_at_the_end(page)
        page.keyboard.press("Control+f")
        expect(page.get_by_role("textbox", name="Find")).to_be_focused()
        page.keyboard.type("verbosity")
        page.keyboard.press("Enter")
        expect(page.locator(".cm-searchMatch-selected")).to_have_text("verbosity")
        page.keyboard.press("Escape")
        caret_at_the_end(page)
        page.keyboard.press("Tab")
        assert page.locator("#id_raw_config").input_value() == TEXT + "  "
        page.keyboard.press("Escape")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.classList.contains('code-host')") is False
        assert page.locator("#id_raw_config").input_value() == TEXT + "  "


def test_it_speaks_chinese(visit: Visitor) -> None:
    with visit(locale="zh-CN") as person:
        page = person.sign_in()
        person.go(ADD)
        words = page.locator("#editor-texts").evaluate("(data) => JSON.parse(data.textContent).words")
        assert set(words) >= {"Find", "Replace", "Go to line"}


def test_the_page_travels_small(browser: Any, shared_portal: LiveServer) -> None:
    """All that is fetched for the form, in a browser that has nothing yet."""
    context = browser.new_context(viewport=DESKTOP)
    person = Visit(context, shared_portal)
    page = person.sign_in()
    context.close()
    context = browser.new_context(viewport=DESKTOP, storage_state=None)
    person = Visit(context, shared_portal)
    page = person.sign_in()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    sizes: list[int] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(int(event["encodedDataLength"])))
    person.go(ADD)
    expect(page.locator(".cm-content").first).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert sum(sizes) <= MOST_BYTES, sorted(sizes)
    context.close()


def test_a_huge_text_does_not_hang_the_page(visit: Visitor) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go(ADD)
        page.evaluate(
            """() => {
              const area = document.getElementById('id_raw_config');
              area.value = 'key: value of a line\\n'.repeat(100_000);
              area.dispatchEvent(new Event('input', { bubbles: true }));
            }"""
        )
        expect(page.locator(".editor-help")).to_contain_text("A large text")
        expect(page.locator("#problems")).to_contain_text("too large to be checked")
        page.locator(".cm-content").click()
        took = page.evaluate(
            """async () => {
              const longest = [];
              new PerformanceObserver((list) => longest.push(...list.getEntries().map((entry) => entry.duration)))
                .observe({ entryTypes: ['longtask'] });
              window.longest = longest;
            }"""
        )
        assert took is None
        page.keyboard.type("abcdef", delay=50)
        expect(page.locator(".cm-activeLine")).to_contain_text("abcdef")
        page.wait_for_timeout(500)
        assert max(page.evaluate("window.longest"), default=0) < 1_500
        assert "abcdef" in page.locator("#id_raw_config").input_value()
        page.evaluate("document.getElementById('configuration_form').reset()")


def test_without_scripts_the_text_field_stays(visit: Visitor, shared_portal: LiveServer) -> None:
    shared_portal.post("configurations", configuration("no-scripts", {"env": "nobody"}, TEXT))
    with visit(java_script_enabled=False) as person:
        page = person.sign_in()
        person.go(page_of(shared_portal, "no-scripts"))
        box = page.locator("#id_raw_config").bounding_box()
        assert box is not None
        assert box["height"] > 200
        assert page.locator(".code-host").count() == 0
        page.fill("#id_raw_config", TEXT.replace("normal", "basic"))
        page.click("#publish")
        page.get_by_role("button", name="Publish (0 agents)").click()
        expect(page.locator(".messagelist")).to_contain_text("Revision 2")
