"""The tabs of a configuration's page: each is an address, and shows what it is called after and nothing else."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from agents.remote_config import ConfigFile
from configurations.admin import tabs
from configurations.models import Configuration
from configurations.services.publishing import Draft, create_configuration

pytestmark = pytest.mark.django_db
TEXT = b"receivers: {otlp: {protocols: {http: {}}}}\nexporters: {debug: }\n"
TEXT += b"service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n"
SHOWS = {
    "edit": 'id="configuration_form"',
    "agents": 'id="agents-heading"',
    "revisions": 'id="revisions-heading"',
    "rollouts": 'id="rollouts-heading"',
    "graph": 'id="pipelines-heading"',
}


@pytest.fixture
def page() -> str:
    files = {"": ConfigFile(TEXT, "text/yaml")}
    row, _findings = create_configuration(
        "prod", Draft(selector={"env": "prod"}, files=files), by=None, at=timezone.now()
    )
    return reverse("admin:configurations_configuration_change", args=[row.pk])


def current(body: str) -> list[str]:
    nav = re.search(r'<nav class="tabs".*?</nav>', body, re.DOTALL)
    assert nav
    return re.findall(r'aria-current="page">([^<]*)</a>', nav[0])


@pytest.mark.parametrize("name", SHOWS)
def test_a_tab_shows_itself_alone(signed_in, report, page, name):
    report("a", env="prod")
    body = signed_in.get(page, {"tab": name}).content.decode()
    assert {tab for tab, sign in SHOWS.items() if sign in body} == {name}
    assert current(body) == [name.capitalize()]
    assert 'id="progress-now"' in body


@pytest.mark.parametrize("strange", ["", "nothing", "../", "EDIT"])
def test_the_form_is_what_an_unknown_tab_shows(signed_in, page, strange):
    body = signed_in.get(page, {"tab": strange}).content.decode()
    assert SHOWS["edit"] in body
    assert current(body) == ["Edit"]


def test_a_form_that_came_in_is_shown_whatever_the_address_says(signed_in, page):
    body = signed_in.post(f"{page}?tab=graph", {"selector": "((", "file_count": "0"}).content.decode()
    assert SHOWS["edit"] in body
    assert SHOWS["graph"] not in body


def test_who_may_not_see_agents_has_no_tab_of_them(client, charlie, report, page):
    report("hidden-host", env="prod")
    charlie.is_staff = True
    charlie.save()
    charlie.user_permissions.add(
        Permission.objects.get(content_type__app_label="configurations", codename="view_configuration")
    )
    client.force_login(charlie)
    body = client.get(page, {"tab": "agents"}).content.decode()
    assert current(body) == ["Settings"]
    assert "?tab=agents" not in body
    assert "?tab=rollouts" not in body
    assert "hidden-host" not in body


def test_of_many_agents_some_are_shown_failures_first(signed_in, report, page, monkeypatch):
    monkeypatch.setattr(tabs, "_AGENTS", 2)
    for name in "abc":
        report(name, env="prod")
    row = Configuration.objects.get()
    row.assignments.filter(agent__hostname="c").update(status="failed")
    body = signed_in.get(page, {"tab": "agents"}).content.decode()
    shown = re.findall(r"/admin/agents/agent/\d+/change/\">([abc])</a>", body)
    assert shown == ["c", "a"]
    assert "The first 2 are shown, failures first." in body
