"""Configurations in the admin."""

from __future__ import annotations

import pytest

from agents.models import Agent
from configurations.models import Assignment, Configuration

pytestmark = pytest.mark.django_db
LIST = "/admin/configurations/configuration/"
FORM = {
    "name": "prod-config",
    "display_name": "",
    "description": "",
    "priority": "0",
    "enabled": "on",
    "selector": '{"env": "prod"}',
    "content_type": "yaml",
    "config_key": "",
    "raw_config": "a: 1\r\n",
    "note": "",
}


@pytest.fixture
def signed_in(client, alice):
    client.force_login(alice)
    return client


def test_a_configuration_is_published_through_the_form(signed_in, report):
    agent = report(env="prod")
    answer = signed_in.post(LIST + "add/", FORM)
    assert answer.status_code == 302, answer.content.decode()
    row = Configuration.objects.get()
    assert row.current.files[""]["body"] == "a: 1\n"
    assert Agent.objects.get(pk=agent.pk).configuration_name == "prod-config"
    page = signed_in.get(f"/admin/agents/agent/{agent.pk}/change/").content.decode()
    assert "env=prod" in page
    assert "prod-config r1" in page
    assert signed_in.get(LIST).status_code == 200
    assert signed_in.get(f"{LIST}{row.pk}/change/").status_code == 200


def test_mistakes_are_named_and_nothing_is_saved(signed_in):
    for field, value, said in (
        ("raw_config", "a: 1\na: 2\n", "line 2"),
        ("selector", '{"matchExpressions": [{"key": "a", "operator": "Near"}]}', "operator"),
        ("content_type", "nonsense", ""),
    ):
        body = signed_in.post(LIST + "add/", {**FORM, field: value}).content.decode()
        assert "errorlist" in body
        assert said in body
    assert not Configuration.objects.exists()


def test_a_preview_counts_and_saves_nothing(signed_in, report):
    report(env="prod")
    body = signed_in.post(LIST + "add/", {**FORM, "only_preview": "on"}).content.decode()
    assert "matches 1 agents" in body
    assert not Configuration.objects.exists()


def test_the_later_of_two_editors_is_told_and_loses_nothing(signed_in):
    signed_in.post(LIST + "add/", FORM)
    url = f"{LIST}{Configuration.objects.get().pk}/change/"
    edit = {**FORM, "expected_revision": "1", "raw_config": "b: 1\n"}
    assert signed_in.post(url, edit).status_code == 302
    late = signed_in.post(url, {**edit, "raw_config": "c: 1\n"})
    assert "revision 2 is the present one" in late.content.decode()
    assert "c: 1" in late.content.decode()
    assert Configuration.objects.get().current.number == 2


def test_deleting_leaves_agents_unassigned(signed_in, report):
    agent = report(env="prod")
    signed_in.post(LIST + "add/", FORM)
    signed_in.post(f"{LIST}{Configuration.objects.get().pk}/delete/", {"post": "yes"})
    assert not Configuration.objects.exists()
    assert Agent.objects.get(pk=agent.pk).configuration_name == ""


def test_a_viewer_only_looks(client, bob, signed_in):
    signed_in.post(LIST + "add/", FORM)
    url = f"{LIST}{Configuration.objects.get().pk}/change/"
    client.force_login(bob)
    assert client.get(url).status_code == 200
    assert client.post(url, FORM).status_code == 403


def test_an_older_revision_comes_back_after_a_look(signed_in, bob, client):
    signed_in.post(LIST + "add/", FORM)
    row = Configuration.objects.get()
    signed_in.post(f"{LIST}{row.pk}/change/", {**FORM, "expected_revision": "1", "raw_config": "b: 1\n"})
    url = f"{LIST}{row.pk}/rollback/1/"
    assert "+a: 1" in signed_in.get(url).content.decode()
    assert url in signed_in.get(f"{LIST}{row.pk}/change/").content.decode()
    assert signed_in.post(url).status_code == 302
    row.refresh_from_db()
    assert (row.current.number, row.current.files[""]["body"]) == (3, "a: 1\n")
    client.force_login(bob)
    assert client.post(url).status_code == 403


def test_a_failed_configuration_is_offered_once_more_by_hand(signed_in, report):
    agent = report(env="prod")
    signed_in.post(LIST + "add/", FORM)
    Agent.objects.filter(pk=agent.pk).update(
        remote_config_hash=Agent.objects.get(pk=agent.pk).configuration_hash, remote_config_status=3, config_failed=True
    )
    Assignment.objects.update(status="failed")
    assert "/retry/" in signed_in.get(f"/admin/agents/agent/{agent.pk}/change/").content.decode()
    assert signed_in.post(f"{LIST}retry/{agent.pk}/").status_code == 302
    assert Assignment.objects.get().retry_requested
    assert Agent.objects.get(pk=agent.pk).status == "configuring"
