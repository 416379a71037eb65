"""Every error below the API's path is a problem, whoever asks and however."""

from __future__ import annotations

import pytest
from django.db import OperationalError
from django.test import Client
from rest_framework.exceptions import Throttled

pytestmark = pytest.mark.django_db
PROBLEM = "application/problem+json"
UID = "01920000-0000-7000-8000-000000000001"
GET_URLS = [
    "agents", "agents/summary", "agents/{uid}", "agents/{uid}/timeline", "agents/{uid}/commands",
    "agents/{uid}/connections", "agents/{uid}/components", "agents/{uid}/packages", "agents/{uid}/effective-config",
    "agents/{uid}/configuration", "configurations", "configurations/c", "configurations/c/revisions",
    "configurations/c/revisions/1", "configurations/c/agents", "schema",
]  # fmt: skip
POST_URLS = [
    "agents/restart", "agents/labels", "agents/{uid}/restart", "agents/{uid}/custom-message",
    "agents/{uid}/revoke-credential", "agents/{uid}/allow-enrolment",
    "agents/{uid}/configuration/retry", "configurations/preview", "configurations/c/preview", "configurations/c/rollback",
]  # fmt: skip


@pytest.fixture
def uid(api_of, alice, report) -> str:
    """An agent, beside a configuration that it should run."""
    api_of(alice).post("/api/v1/configurations", {"name": "c", "raw_config": "a: 1\n", "selector": {"env": "prod"}})
    return str(report(env="prod").instance_uid)


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("url", GET_URLS)
def test_every_reading_url_answers_get_head_and_options(api_of, alice, bob, charlie, uid, url, slash):
    path = f"/api/v1/{url.format(uid=uid)}{slash}"
    client = api_of(bob)
    answer = client.get(path)
    assert answer.status_code == 200
    head = client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert client.options(path).status_code == 200
    assert api_of(alice).options(path).status_code == 200
    wrong = client.generic("TRACE", path)
    assert (wrong.status_code, wrong["content-type"]) == (405, PROBLEM)
    anonymous = api_of(None)
    for method in ("get", "head", "options", "post", "put", "patch", "delete"):
        answer = getattr(anonymous, method)(path)
        assert (answer.status_code, answer["content-type"]) == (401, PROBLEM), method
    if url != "schema":
        assert api_of(charlie).get(path).status_code == 403


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("url", POST_URLS)
def test_every_acting_url_takes_post_alone(api_of, alice, bob, charlie, uid, url, slash):
    path = f"/api/v1/{url.format(uid=uid)}{slash}"
    assert api_of(None).post(path).status_code == 401
    assert api_of(charlie).post(path).status_code == 403
    answer = api_of(alice).put(path, {})
    assert (answer.status_code, answer["content-type"]) == (405, PROBLEM)
    assert "POST" in answer["allow"]
    assert api_of(alice).options(path).status_code == 200
    answer = api_of(alice).post(path, "x", content_type="text/plain")
    assert (answer.status_code, answer["content-type"]) == (415, PROBLEM)
    answer = api_of(alice).post(path, {"nonsense": 1})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["nonsense"])


def test_unknown_urls_are_problems_for_those_who_may_know(api_of, alice):
    for path in ("/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v1/agents/x/y/z", "/api/v1//"):
        assert api_of(None).get(path).status_code == 401
        for method in ("get", "post", "delete"):
            answer = getattr(api_of(alice), method)(path)
            assert (answer.status_code, answer["content-type"]) == (404, PROBLEM), path


def test_a_media_type_we_do_not_write_or_read(api_of, alice, uid):
    answer = api_of(alice).get("/api/v1/agents", HTTP_ACCEPT="text/csv")
    assert (answer.status_code, answer["content-type"]) == (406, PROBLEM)
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/xml"):
        answer = api_of(alice).post("/api/v1/configurations", "name=c", content_type=content_type)
        assert (answer.status_code, answer["content-type"]) == (415, PROBLEM)


def test_a_failure_is_json_without_its_reason(api_of, alice, monkeypatch):
    def fail(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("a secret of the server")

    monkeypatch.setattr("agents.api.AgentViewSet.get_queryset", fail)
    client = api_of(alice)
    client.raise_request_exception = False
    for accept in ("application/json", "text/html"):
        answer = client.get("/api/v1/agents", HTTP_ACCEPT=accept)
        assert (answer.status_code, answer["content-type"], answer.json()["status"]) == (500, PROBLEM, 500)
        assert b"secret" not in answer.content


def test_a_lost_database_is_a_503_that_says_when_to_come_back(api_of, alice, monkeypatch):
    def fail(*_args: object, **_kwargs: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr("agents.api.AgentViewSet.get_queryset", fail)
    answer = api_of(alice).get("/api/v1/agents")
    assert (answer.status_code, answer["content-type"], answer["retry-after"]) == (503, PROBLEM, "5")


def test_too_many_requests_are_told_when_to_come_back(api_of, alice, monkeypatch):
    def wait(*_args: object, **_kwargs: object) -> None:
        raise Throttled(7)

    monkeypatch.setattr("agents.api.AgentViewSet.get_queryset", wait)
    answer = api_of(alice).get("/api/v1/agents")
    assert (answer.status_code, answer["content-type"], answer["retry-after"]) == (429, PROBLEM, "7")
    assert (answer.json()["code"], answer.json()["errors"]) == ("throttled", {})


def test_a_request_that_django_refuses_is_a_problem_below_the_api_alone(client, settings):
    settings.ALLOWED_HOSTS = ["portal.example"]
    answer = client.get("/api/v1/agents", HTTP_HOST="elsewhere.example")
    assert (answer.status_code, answer["content-type"]) == (400, PROBLEM)
    assert client.get("/admin/", HTTP_HOST="elsewhere.example")["content-type"].startswith("text/html")


def test_a_browser_is_sent_to_the_login_page_and_a_program_is_not(client, alice):
    for path in ("/api/v1/agents?status=error", "/api/v1/docs", "/api/v1/schema"):
        answer = client.get(path, HTTP_ACCEPT="text/html,*/*;q=0.8")
        assert answer.status_code == 302
        assert answer["location"].startswith("/admin/login/?next=/api/v1/")
        assert client.get(path).status_code == 401
        token = client.get(path, HTTP_ACCEPT="text/html", HTTP_AUTHORIZATION="Bearer opk_0_wrong")
        assert token.status_code in {401, 406}
    client.force_login(alice)
    assert client.get("/api/v1/docs", HTTP_ACCEPT="text/html").status_code == 200


def test_a_session_without_a_csrf_token_changes_nothing(alice, uid):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    answer = client.patch(f"/api/v1/agents/{uid}", {"notes": "x"}, content_type="application/json")
    assert (answer.status_code, answer["content-type"]) == (403, PROBLEM)
    assert client.get(f"/api/v1/agents/{uid}").json()["notes"] == ""


def test_pages_below_the_api_have_the_strict_policy(client, alice, uid):
    client.force_login(alice)
    for path in ("/api/v1/agents", "/api/v1/docs", "/api/v1/configurations/c", "/api/v1/configurations/gone"):
        answer = client.get(path, HTTP_ACCEPT="text/html")
        assert answer["content-type"].startswith("text/html")
        policy = answer["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        html = answer.content.decode()
        assert " style=" not in html
        assert "<style" not in html
        assert "https://" not in html.replace("https://www.django-rest-framework.org", "")


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_problems_have_codes_that_no_language_changes(api_of, alice, uid, language):
    client = api_of(alice)
    spoken = {"HTTP_ACCEPT_LANGUAGE": language}
    configurations = "/api/v1/configurations"

    def code(answer):
        assert answer["Content-Type"] == PROBLEM
        return answer.status_code, answer.json()["code"]

    body = {"name": "c", "raw_config": "a: 1\n", "selector": {"env": "prod"}}
    assert code(client.post(configurations, {**body, "blub": 1}, **spoken)) == (400, "invalid-request")
    assert code(client.post(configurations, body, **spoken)) == (409, "name-taken")
    assert code(client.post(configurations, {**body, "name": "d", "raw_config": "a: ["}, **spoken)) == (
        400,
        "invalid-configuration",
    )
    assert code(client.patch(f"{configurations}/c", {"priority": 1, "revision": 7}, **spoken)) == (
        409,
        "stale-revision",
    )
    sent = client.post(f"/api/v1/agents/{uid}/custom-message", {"capability": "x", "type": "t"}, **spoken)
    assert code(sent) == (409, "custom-capability-not-listed")
    assert code(client.get("/api/v1/agents?label==x", **spoken)) == (400, "invalid-selector")
    assert code(client.get("/api/v1/nothing", **spoken)) == (404, "not-found")
    assert code(client.delete("/api/v1/agents", **spoken)) == (405, "method-not-allowed")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a: [", "invalid-yaml"), ("a: 1\na: 2\n", "repeated-key"), ("sevice: {pipelines: {}}\n", "document-unknown-key")],
)
def test_findings_have_codes(api_of, alice, text, expected):
    """Also where a guess at what was meant stands behind the text."""
    body = {"name": "f", "raw_config": text, "selector": {"env": "prod"}}
    found = api_of(alice).post("/api/v1/configurations", body).json()["findings"]
    assert expected in [item["code"] for item in found]
