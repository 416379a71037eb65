"""Agents in the admin."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEntry
from agents.models import Agent, AgentCommand

pytestmark = pytest.mark.django_db
LIST = "/admin/agents/agent/"


def page_of(agent: Agent) -> str:
    return f"{LIST}{agent.pk}/change/"


def test_people_see_what_they_may(client, alice, bob, charlie, report):
    agent = report(env="prod")
    for person, status in ((alice, 200), (bob, 200), (charlie, 403)):
        client.force_login(person)
        assert client.get(LIST).status_code == status
        assert client.get(page_of(agent)).status_code == status


def test_a_viewer_gets_no_form(client, bob, report):
    agent = report()
    client.force_login(bob)
    body = client.get(page_of(agent)).content.decode()
    assert 'name="custom_name"' not in body
    assert 'name="_save"' not in body
    assert client.post(page_of(agent), {"custom_name": "x"}).status_code == 403


def test_the_list_shows_status_and_costs_constant_queries(client, alice, report):
    report("a", healthy=False)
    client.force_login(alice)
    client.get(LIST)
    with CaptureQueriesContext(connection) as one:
        body = client.get(LIST).content.decode()
    assert "pill-error" in body
    for number in range(15):
        report(f"b{number}")
    with CaptureQueriesContext(connection) as many:
        client.get(LIST)
    assert len(one) == len(many)
    assert "pill-connected" not in client.get(LIST, {"status": "error"}).content.decode()
    assert client.get(LIST, {"q": "b3"}).status_code == 200


def test_labels_are_edited_as_lines_and_mistakes_are_named(client, alice, report):
    agent = report()
    client.force_login(alice)
    form = {"custom_name": "Edge", "notes": "", "label_lines": "env=prod\n\nteam=a"}
    assert client.post(page_of(agent), form).status_code == 302
    agent.refresh_from_db()
    assert (agent.name, agent.operator_labels, agent.labels["team"]) == ("Edge", {"env": "prod", "team": "a"}, "a")
    assert AuditEntry.objects.get(verb="agent.edit").actor == alice
    bad = client.post(page_of(agent), {**form, "label_lines": "no equals sign"})
    assert "no equals sign" in bad.content.decode()
    assert client.get(LIST + "add/").status_code == 403


def test_actions_go_through_the_services(client, alice, report):
    able, unable = report("able"), report("unable", capabilities=1)
    client.force_login(alice)
    chosen = {"_selected_action": [able.pk, unable.pk]}
    body = client.post(LIST, {"action": "restart", **chosen}, follow=True).content.decode()
    assert AgentCommand.objects.get().agent == able
    assert "Skipped" in body
    client.post(LIST, {"action": "forget", **chosen})
    assert not Agent.objects.exists()
    assert AuditEntry.objects.filter(verb="agent.forget").count() == 2


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_pages_hold_no_inline_code(client, alice, report, language):
    agent = report(env="prod")
    client.force_login(alice)
    client.post("/i18n/setlang/", {"language": language})
    for url in ("/admin/", LIST, page_of(agent)):
        answer = client.get(url)
        assert answer.status_code == 200
        assert "script-src 'self'" in answer["content-security-policy"]
        assert " style=" not in answer.content.decode().split("<body")[1]


def test_the_portal_speaks_chinese(client, alice, report):
    agent = report(env="prod")
    client.force_login(alice)
    client.post("/i18n/setlang/", {"language": "zh-hans"})
    body = client.get(page_of(agent)).content.decode()
    for word in ("目标配置及原因", "已连接", "时间线", "运维标签", "已注册"):
        assert word in body
    assert "已断开" in client.get("/admin/").content.decode()
