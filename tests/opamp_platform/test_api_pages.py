"""The pages of the API in a browser: what their forms begin with, sent as it is, changes nothing."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db
API = "/api/v1/"
# Of what is changed by any edit, were it one.
_CLOCKS = {"updated_at", "edition"}


@pytest.fixture
def places(signed_in: Client, report: Any) -> dict[str, str]:
    """Of each kind of thing one, and where it is changed."""

    def made(path: str, **body: Any) -> dict[str, Any]:
        answer = signed_in.post(f"{API}{path}", body, content_type="application/json")
        assert answer.status_code in {200, 201}, (path, answer.content)
        return answer.json()

    uid = report("web-1", env="prod").instance_uid
    made(
        "configurations",
        name="c",
        selector={"env": "prod"},
        files={"": {"body": "a: 1\n"}, "more.yaml": {"body": "password: hunter2-hunter2\n"}},
        description="words",
        priority=7,
        enabled=False,
    )
    made("configurations", name="one", raw_config="a: 1\n", match_all=True, rollout_policy="canary")
    made("secrets", name="s", value="a-long-secret", description="words")
    made(f"agents/{uid}/pin", configuration="one", reason="an incident")
    made(f"agents/{uid}/pause", reason="an incident")
    content = {"own_logs": {"endpoint": "https://h/v1/logs", "headers": {"x-key": "a-long-secret"}}}
    made("connection-settings", name="site", content=content, selector={"env": "prod"})
    variable = made("variables", name="v", value="x", selector={"env": "prod"}, priority=3)["id"]
    package = made("packages", name="p", match_all=True, notes="words")["id"]
    draft = made("configurations/c/drafts", raw_config="a: 2\n", note="words")["id"]
    view = made("agent-views", name="view", query="env=prod")["id"]
    rule = made("alert-rules", name="rule", kind="agents_gone", dwell_seconds=90)["id"]
    receiver = made("receivers", name="hook", kind="webhook", address="https://hooks.example/x")["id"]
    return {
        "configuration": "configurations/c",
        "configuration of one file": "configurations/one",
        "draft": f"drafts/{draft}",
        "agent": f"agents/{uid}",
        "view": f"agent-views/{view}",
        "variable": f"variables/{variable}",
        "secret": "secrets/s",
        "connection settings": "connection-settings/site",
        "package": f"packages/{package}",
        "alert rule": f"alert-rules/{rule}",
        "receiver": f"receivers/{receiver}",
        "pin": f"agents/{uid}/pin",
        "pause": f"agents/{uid}/pause",
    }


def form_of(client: Client, url: str) -> tuple[str, str]:
    """The method and the text of the form that changes what is at ``url``."""
    page = client.get(url, headers={"accept": "text/html"}).content.decode()
    for form in re.findall(r"<form\b.*?</form>", page, re.DOTALL):
        method = re.search(r">(PUT|PATCH)</button>", form)
        text = re.search(r"<textarea[^>]*>(.*?)</textarea>", form, re.DOTALL)
        if method and text:
            return method[1], html.unescape(text[1])
    raise AssertionError(f"{url} has no such form")


def test_what_a_form_begins_with_changes_nothing_when_it_is_sent(signed_in: Client, places: dict[str, str]) -> None:
    wrong = {}
    for kind, path in places.items():
        url = API + path
        before = signed_in.get(url).json()
        method, text = form_of(signed_in, url)
        sent = json.loads(text)
        answer = signed_in.generic(method, url, text, content_type="application/json")
        after = signed_in.get(url).json()
        changed = {name for name in before if before[name] != after.get(name)} - _CLOCKS
        if answer.status_code != 200 or changed or not any(sent.values()):
            wrong[kind] = (answer.status_code, answer.content[:600], changed, sent)
    assert wrong == {}, "\n\n".join(f"{kind}: {what}" for kind, what in wrong.items())
