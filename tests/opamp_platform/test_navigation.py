"""The menu, the titles and the page about connecting agents."""

from __future__ import annotations

import re
from typing import Any

import pytest

from opamp_platform.task_menu import as_tasks, menu_of

pytestmark = pytest.mark.django_db
LISTS = {
    "/admin/agents/agent/": "Agents",
    "/admin/configurations/configuration/": "Configurations",
    "/admin/configurations/deletedconfiguration/": "Deleted configurations",
    "/admin/running/": "Running configurations",
    "/admin/accounts/user/": "Users",
    "/admin/accounts/apitoken/": "API tokens",
    "/admin/accounts/auditentry/": "Audit trail",
    "/admin/auth/group/": "Groups",
}


def shown(client: Any, path: str, **extra: Any) -> str:
    answer = client.get(path, **extra)
    assert answer.status_code == 200
    return str(answer.content.decode())


@pytest.mark.parametrize(("path", "title"), LISTS.items())
def test_a_list_is_called_what_it_shows_and_stands_once_in_the_path(signed_in, path, title):
    body = shown(signed_in, path)
    assert f"<h1>{title}</h1>" in body
    assert "Select " not in body.split("<h1>")[1].split("</h1>")[0]
    crumbs = re.search(r'<div class="breadcrumbs">(.*?)</div>', body, re.DOTALL)
    assert crumbs
    assert crumbs[1].count(title) == 1
    assert "Authentication" not in body


TASKS = ["Overview", "Agents", "Configurations", "Rollouts", "Packages", "Alerts", "Access", "Audit trail"]


def test_the_menu_is_by_task(signed_in):
    body = shown(signed_in, "/admin/agents/agent/")
    menu = re.search(r'<nav class="portal-menu".*?</nav>', body, re.DOTALL)
    assert menu
    assert re.findall(r'<li class="menu-task[^>]*>\s*<a [^>]*>([^<]*)</a>', menu[0]) == TASKS
    for path in LISTS:
        assert menu[0].count(f'href="{path}"') >= 1
    assert menu[0].count('aria-current="page"') == 1
    assert "is-current" in menu[0].split('href="/admin/agents/agent/"')[0]


def test_the_menu_marks_the_page_that_an_address_belongs_to(signed_in, report):
    agent = report("a")
    for path, title in (
        (f"/admin/agents/agent/{agent.pk}/change/", "Agents"),
        ("/admin/running/", "Running configurations"),
        ("/admin/", "Overview"),
        ("/admin/accounts/user/add/", "Users"),
    ):
        marked = re.findall(r'<a href="[^"]*" aria-current="page">([^<]*)</a>', shown(signed_in, path))
        assert marked == [title, title]  # in the menu at the side, and in that of phones


def test_what_somebody_may_not_see_is_not_in_the_menu(client, charlie):
    client.force_login(charlie)
    body = shown(client, "/admin/")
    assert re.findall(r'<li class="menu-task[^>]*>\s*<a [^>]*>([^<]*)</a>', body) == ["Overview"] * 2


@pytest.mark.parametrize(
    ("app", "first"),
    [
        ("auth", "/admin/auth/group/"),
        ("agents", "/admin/agents/agent/"),
        ("configurations", "/admin/configurations/configuration/"),
        ("accounts", "/admin/accounts/user/"),
    ],
)
def test_the_page_of_an_app_is_where_its_task_begins(signed_in, client, charlie, app, first):
    answer = signed_in.get(f"/admin/{app}/")
    assert (answer.status_code, answer["Location"]) == (302, first)
    client.force_login(charlie)
    assert client.get(f"/admin/{app}/").status_code == 404


def test_an_app_that_declares_nothing_has_a_heading_of_its_own(rf, alice):
    model = {"name": "gadgets", "object_name": "Gadget", "admin_url": "/admin/gadgets/gadget/"}
    request = rf.get("/admin/gadgets/gadget/")
    request.user = alice
    tasks = as_tasks(request, [{"app_label": "gadgets", "name": "Gadget shop", "models": [model]}])
    headings = menu_of(request, tasks)
    assert [str(heading.title) for heading in headings][-1] == "Gadget shop"
    assert [(entry.title, entry.current) for entry in headings[-1].further] == [("Gadgets", True)]


def test_a_phone_has_the_same_menu(signed_in):
    body = shown(signed_in, "/admin/agents/agent/")
    menu = re.search(r'<details class="phone-menu">(.*?)</details>', body, re.DOTALL)
    assert menu
    for path in LISTS:
        assert f'href="{path}"' in menu[1]
    assert menu[1].count('aria-current="page"') == 1


def test_nobody_who_is_not_in_gets_a_menu(client):
    assert "phone-menu" not in shown(client, "/admin/login/")


def test_connecting_stays_reachable_when_there_are_agents(signed_in, report):
    report("a")
    assert 'href="/admin/connect/"' in shown(signed_in, "/admin/")
    assert 'href="/admin/connect/"' in shown(signed_in, "/admin/agents/agent/")
    body = shown(signed_in, "/admin/connect/")
    assert "endpoint: ws://testserver/v1/opamp" in body
    assert "Authorization" not in body
    assert "连接" in shown(signed_in, "/admin/connect/", HTTP_ACCEPT_LANGUAGE="zh-CN")


def test_snippets_have_the_header_of_the_secret_and_never_the_secret(signed_in, settings):
    settings.OPAMP_SECRET_KEY = "a-secret-of-the-fleet"
    for path in ("/admin/", "/admin/connect/"):
        body = shown(signed_in, path)
        assert body.count('headers: {Authorization: "Bearer &lt;OPAMP_SECRET_KEY&gt;"}') == 2
        assert '--secret-key "$OPAMP_SECRET_KEY"' in body
        assert "a-secret-of-the-fleet" not in body


def test_the_page_about_connecting_is_for_those_who_see_agents(client, charlie):
    client.force_login(charlie)
    assert client.get("/admin/connect/").status_code == 403


def test_a_disconnected_agents_first_button_is_not_its_restart(signed_in, report):
    agent = report("a", capabilities=0x7FFF)
    url = f"/admin/agents/agent/{agent.pk}/change/"
    restart = rf'<a class="([^"]*)"\s+href="/admin/agents/agent/{agent.pk}/restart/">'
    assert re.findall(restart, shown(signed_in, url)) == ["button"]
    type(agent).objects.filter(pk=agent.pk).update(connected=False)
    body = shown(signed_in, url)
    assert not re.findall(restart, body)
    assert f'<a href="/admin/agents/agent/{agent.pk}/restart/">' in body.split('class="more-menu"')[1]
