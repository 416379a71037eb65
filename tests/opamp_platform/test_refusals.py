"""Pages of refused and failed requests: in both languages, with a way back; without the database where it may be away."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

pytestmark = pytest.mark.django_db
ZH = "zh-CN,zh;q=0.9"
AGENTS = "/admin/agents/agent/"


@pytest.fixture
def browser(alice: Any) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    return client


def fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise error

    monkeypatch.setattr("agents.admin.fleet.AgentAdmin.get_queryset", fail)


def refused(client: Client, path: str, status: int, language: str = "en", **extra: Any) -> str:
    answer = client.get(path, HTTP_ACCEPT_LANGUAGE=language, **extra)
    assert (answer.status_code, answer["content-type"]) == (status, "text/html; charset=utf-8")
    body = answer.content.decode()
    assert f'<html lang="{"zh-hans" if language == ZH else "en"}"' in body
    assert 'href="/admin/"' in body
    assert "portal/portal" in body
    return body


@pytest.mark.parametrize(("language", "word"), [("en", "Not found"), (ZH, "未找到")])
@pytest.mark.parametrize("path", ["/nothing", "/admin/nothing/", AGENTS + "999/change/", "/health/x", "/%00"])
def test_what_is_not_there(browser, path, language, word):
    body = refused(browser, path, 404, language)
    assert f"<h1>{word}</h1>" in body
    assert "query" not in body


def test_our_own_words_are_shown_and_those_of_django_are_not(browser):
    assert "There is no such row; it may have been deleted." in refused(browser, AGENTS + "999/change/", 404)
    assert "No Agent matches" not in refused(browser, AGENTS + "999/restart/", 404)


@pytest.mark.parametrize(("language", "word"), [("en", "Not allowed"), (ZH, "不允许")])
def test_what_is_not_allowed(client, bob, charlie, language, word):
    client.force_login(bob)
    body = refused(client, "/admin/accounts/user/", 403, language)
    assert f"<h1>{word}</h1>" in body
    assert "bob" in body
    client.force_login(charlie)
    assert word in refused(client, AGENTS, 403, language)


@pytest.mark.parametrize(("language", "word"), [("en", "The form is out of date"), (ZH, "表单已过期")])
def test_a_form_without_its_token(alice, language, word):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    answer = client.post(
        "/admin/password_change/",
        HTTP_ACCEPT_LANGUAGE=language,
        HTTP_HOST="portal.example",
        HTTP_REFERER="http://portal.example/admin/password_change/",
    )
    assert answer.status_code == 403
    body = answer.content.decode()
    assert f"<h1>{word}</h1>" in body
    assert 'href="http://portal.example/admin/password_change/"' in body


def test_the_page_before_is_offered_when_it_is_ours(browser):
    ours, theirs = "http://testserver/admin/agents/agent/?q=x", "http://elsewhere.example/"
    assert f'href="{ours}"' in refused(browser, "/admin/x", 404, HTTP_REFERER=ours, HTTP_HOST="testserver")
    assert "elsewhere" not in refused(browser, "/admin/x", 404, HTTP_REFERER=theirs, HTTP_HOST="testserver")
    assert "javascript" not in refused(browser, "/admin/x", 404, HTTP_REFERER="javascript:1", HTTP_HOST="testserver")


@pytest.mark.parametrize(("language", "word"), [("en", "Something went wrong"), (ZH, "出错了")])
def test_a_failure_keeps_its_reason_and_asks_no_database(browser, monkeypatch, language, word):
    fail_with(monkeypatch, RuntimeError("a secret of the server"))
    browser.get("/admin/nothing/")
    with CaptureQueriesContext(connection) as asked:
        body = refused(browser, AGENTS + "?q=x", 500, language)
    # Who it is was asked before the failure, and nothing after it.
    assert len(asked) <= 2
    assert f"<h1>{word}</h1>" in body
    assert "secret of" not in body
    assert f'href="{AGENTS}?q=x"' in body


@pytest.mark.parametrize(("language", "word"), [("en", "Not available"), (ZH, "暂不可用")])
def test_pages_without_a_database(browser, monkeypatch, language, word):
    """Not even the session can be read."""

    def gone(*_args: object, **_kwargs: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(connection, "cursor", gone)
    monkeypatch.setattr(connection, "ensure_connection", gone)
    answer = browser.get(AGENTS, HTTP_ACCEPT_LANGUAGE=language)
    assert (answer.status_code, answer["retry-after"]) == (503, "5")
    assert f"<h1>{word}</h1>" in answer.content.decode()
    assert "gone" not in answer.content.decode()
    # A page that is not there has a session as well, which cannot be asked for its owner.
    assert browser.get("/admin/x/y/z", HTTP_ACCEPT_LANGUAGE=language).status_code == 503


def test_a_page_that_cannot_even_be_drawn_is_a_few_words(browser, monkeypatch):
    fail_with(monkeypatch, RuntimeError("first"))
    monkeypatch.setattr("opamp_platform.refusal._TEMPLATE", "no such template")
    answer = browser.get(AGENTS)
    assert answer.status_code == 500
    assert "The server failed to answer" in answer.content.decode()


def test_the_address_of_a_form_is_explained_when_it_is_opened(browser, report):
    agent = report("a")
    answer = browser.get(f"{AGENTS}{agent.pk}/secrets/")
    assert (answer.status_code, answer["allow"]) == (405, "POST")
    assert "only takes what a form sends" in answer.content.decode()


def test_a_page_that_reads_itself_again_is_told_that_there_is_nothing(browser):
    """Nobody asked, so it is no error, which a browser would log; who asks is told as ever."""
    gone = "/admin/configurations/configuration/drafts/999/"
    assert browser.get(gone).status_code == 404
    answer = browser.get(gone, headers={"X-Portal-Refresh": "live"})
    assert (answer.status_code, answer.content) == (204, b"")
