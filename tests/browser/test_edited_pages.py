"""Pages on which somebody types: leaving them asks, and what others publish meanwhile is told without losing a word."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, PHONE, Visit, Visitor
from tests.live_server import LiveServer, configuration

expect.set_options(timeout=PATIENCE)
TEXT = "exporters:\n  debug: {}\n"
CONFIGURATIONS = "/admin/configurations/configuration/"


@pytest.fixture(scope="module")
def edited(shared_portal: LiveServer) -> str:
    """The page of a configuration."""
    shared_portal.post("configurations", configuration("edited", {"env": "edited"}, TEXT))
    found = "from configurations.models import Configuration; print(Configuration.objects.get(name='edited').pk)"
    return f"{CONFIGURATIONS}{shared_portal.manage('shell', '-v0', '-c', found).strip()}/change/"


def leaves(person: Visit, page: Page) -> bool:
    """Follow a link of the page, and say whether it led away without a question, which is answered with "stay"."""
    asked: list[Any] = []
    page.once("dialog", lambda dialog: asked.append(dialog))  # noqa: PLW0108  Playwright marks it
    before = len(person.faults)
    page.locator("#site-name a").click(no_wait_after=True)
    if not asked:
        page.wait_for_timeout(300)
    del person.faults[before:]
    return not asked


def test_leaving_an_edited_form_asks_and_an_untouched_one_does_not(visit: Visitor, edited: str) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go(edited)
        assert leaves(person, page)
        for field, text in (("#id_note", "why"), ("textarea.code", "a: 1\n"), (".row-values", "elsewhere")):
            person.go(edited)
            page.locator(field).first.fill(text)
            assert not leaves(person, page), field
            assert page.locator(field).first.input_value() == text
            # What was undone is no edit.
            page.locator("#id_note").fill("")
            page.evaluate("document.getElementById('configuration_form').reset()")
        assert leaves(person, page)


def test_a_file_that_was_added_is_an_edit(visit: Visitor, edited: str) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go(edited)
        page.click("#add-file")
        page.locator("textarea.code").last.fill("b: 1\n")
        assert not leaves(person, page)
        page.evaluate("document.querySelectorAll('textarea.code')[1].value = ''")


def test_sending_the_form_and_its_confirmation_asks_nothing(visit: Visitor, edited: str) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go(edited)
        page.fill("#id_description", "sent")
        page.click("#publish")
        expect(page.locator("h1")).to_contain_text("Publish edited?")
        assert not leaves(person, page)
        page.get_by_role("button", name="Publish").click()
        page.wait_for_url(re.compile("#progress$"))
        expect(page.locator("#progress")).to_be_in_viewport()
        expect(page.locator("#progress .live-word")).to_have_text("live")


def test_what_the_server_sent_back_is_unsaved(visit: Visitor, edited: str) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go(edited)
        page.locator("textarea.code").first.fill("a: [1\n")
        page.click("#publish")
        expect(page.locator(".errornote").first).to_be_visible()
        page.click("h1")
        assert not leaves(person, page)
        page.evaluate("document.querySelector('[data-unsaved]').remove()")


def test_another_persons_revision_is_told_and_what_is_typed_stays(
    visit: Visitor, shared_portal: LiveServer, edited: str
) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go(edited)
        expect(page.locator("#meanwhile")).to_be_hidden()
        body = configuration("edited", {"env": "edited"}, "exporters:\n  debug: {verbosity: detailed}\n")
        answer = shared_portal.api("PUT", "configurations/edited", body)
        assert answer.status == 200
        number = answer.json["revision"]
        note = page.locator("#meanwhile")
        expect(note).to_contain_text(f"Revision {number} was published by admin meanwhile")
        # Nothing was typed: there is nothing to keep.
        expect(note.locator(".keep")).to_be_hidden()
        page.fill("#id_note", "typed before")
        expect(note.locator(".keep")).to_be_visible()
        note.locator(".keep").click()
        expect(page.locator("h1")).to_contain_text(f"r{number}")
        assert page.input_value("#id_note") == "typed before"
        expect(page.locator(".errorlist").first).to_contain_text(f"published revision {number}")
        page.evaluate("document.querySelector('[data-unsaved]').remove()")
        page.fill("#id_note", "")


def test_a_refused_file_takes_the_focus_to_its_line(visit: Visitor, edited: str) -> None:
    with visit() as person:
        page = person.sign_in()
        person.go(edited)
        page.locator("textarea.code").first.fill("receivers:\n  otlp: {}\nexporters: [1\nservice: {}\n")
        page.click("#publish")
        expect(page.locator(".cm-content").first).to_be_focused()
        assert int(page.locator(".cm-lineNumbers .cm-activeLineGutter").first.inner_text()) >= 3
        page.evaluate("document.querySelector('[data-unsaved]').remove()")


def test_a_phone_reaches_every_list(visit: Visitor, edited: str) -> None:
    with visit(viewport=PHONE) as person:
        page = person.sign_in()
        person.go(edited)
        menu = page.locator(".phone-menu")
        menu.locator("summary").click()
        menu.get_by_role("link", name="Audit trail").click()
        expect(page.locator("h1")).to_have_text("Audit trail")
        for path in ("apitoken/", "user/", "auditentry/"):
            person.go(f"/admin/accounts/{path}")
            clipped = "(box) => box.scrollWidth - box.clientWidth"
            assert page.locator("#changelist .results").evaluate(clipped) <= 0, path
