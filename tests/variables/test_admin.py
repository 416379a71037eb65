"""Variables and secrets in the portal: what a change would do is seen first; and templates in the editor."""

from __future__ import annotations

import pytest

from agents.models import Agent
from configurations.models import Configuration
from tests.html_forms import fields_of
from variables.models import Secret, Variable

pytestmark = pytest.mark.django_db
VARIABLES, SECRETS = "/admin/variables/variable/", "/admin/variables/secret/"
EDITOR = "/admin/configurations/configuration/"
VALUE = "hunter22-value"
VARIABLE = {"name": "a", "value": "1", "selector": "{}", "match_all": "on", "priority": "0", "description": ""}


@pytest.fixture
def portal(client, alice):
    client.force_login(alice)
    return client


def publish(portal, text, **more):
    fields = {
        "name": "t", "priority": "0", "enabled": "on", "selector": '{"env": "prod"}', "config_key": "",
        "content_type": "text/yaml", "raw_config": text, "template": "on", "template_asked": "1", **more,
    }  # fmt: skip
    answer = portal.post(EDITOR + "add/", {**fields, "stage": "publish", "shown_count": "100"})
    assert answer.status_code == 302, answer.content.decode()
    return Configuration.objects.select_related("current").get()


def test_a_variable_is_made_and_listed(portal):
    assert portal.post(VARIABLES + "add/", VARIABLE).status_code == 302
    row = Variable.objects.get()
    assert (row.name, row.value, row.match_all, row.updated_by) == ("a", "1", True, "alice")
    publish(portal, "x: {{ vars.a }}\n")
    page = portal.get(VARIABLES).content.decode()
    assert "<code>t</code>" in page
    assert "<code>t</code>" in portal.get(f"{VARIABLES}{row.pk}/change/").content.decode()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "a b"}, "Use letters, digits and underscores"),
        ({"selector": "{"}, "Neither JSON nor YAML"),
        ({"selector": "a: b\na: c"}, "“a” is there twice."),
        ({"selector": '{"matchExpressions": 1}', "match_all": ""}, "matchExpressions"),
        ({"value": "x" * 65_537}, "at most 65536 characters"),
    ],
)
def test_what_cannot_be_saved_is_said_at_its_field(portal, changes, said):
    answer = portal.post(VARIABLES + "add/", {**VARIABLE, **changes})
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert not Variable.objects.exists()


@pytest.mark.parametrize("count", [1, 101])
def test_what_a_change_does_to_agents_is_seen_first(portal, report, count):
    portal.post(VARIABLES + "add/", VARIABLE)
    for number in range(count):
        report(f"web-{number}", env="prod")
    publish(portal, "x: {{ vars.a }}\n", shown_count=str(count), typed_count=str(count))
    url = f"{VARIABLES}{Variable.objects.get().pk}/change/"
    before = set(Agent.objects.values_list("configuration_hash", flat=True))
    asked = portal.post(url, {**VARIABLE, "value": "2"})
    assert asked.status_code == 200
    body = asked.content.decode()
    assert f"other files for {count} of {count} agents" in body
    assert Variable.objects.get().value == "1"
    fields = {**fields_of(body), "match_all": "on"}
    assert (fields["value"], fields["seen"], fields["shown_count"]) == ("2", "yes", str(count))
    if count > 100:
        assert "Type the number 101" in portal.post(url, fields).content.decode()
        fields["typed_count"] = str(count)
    assert portal.post(url, fields).status_code == 302
    assert Variable.objects.get().value == "2"
    assert not before & set(Agent.objects.values_list("configuration_hash", flat=True))


def test_a_secret_is_typed_in_and_never_shown(portal):
    assert portal.post(SECRETS + "add/", {"name": "token", "value": "", "description": ""}).status_code == 200
    answer = portal.post(SECRETS + "add/", {"name": "token", "value": VALUE, "description": "for x"})
    assert answer.status_code == 302
    row = Secret.objects.get()
    page = portal.get(f"{SECRETS}{row.pk}/change/")
    assert "no-store" in page["cache-control"]
    for body in (page.content.decode(), portal.get(SECRETS).content.decode()):
        assert VALUE not in body
        assert "token" in body
    assert (
        portal.post(f"{SECRETS}{row.pk}/change/", {"name": "token", "value": "", "description": "y"}).status_code == 302
    )
    kept = Secret.objects.get()
    assert (kept.encrypted, kept.description, kept.updated_by.username) == (row.encrypted, "y", "alice")
    portal.post(f"{SECRETS}{row.pk}/change/", {"name": "token", "value": "line 1\r\nline 2", "description": "y"})
    from variables.encryption import decrypted

    assert decrypted(Secret.objects.get().encrypted) == "line 1\nline 2"


def test_what_is_used_is_not_deleted(portal):
    portal.post(SECRETS + "add/", {"name": "token", "value": VALUE, "description": ""})
    publish(portal, "x: {{ secrets.token }}\n")
    row = Secret.objects.get()
    answer = portal.post(f"{SECRETS}{row.pk}/delete/", {"post": "yes"}, follow=True)

    assert "ecrets.token is used by t" in answer.content.decode()
    assert Secret.objects.exists()
    Configuration.objects.all().update(current=None)
    Configuration.objects.all().delete()
    assert portal.post(f"{SECRETS}{row.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Secret.objects.exists()


def test_a_viewer_reads_and_writes_nothing(client, bob, portal):
    portal.post(SECRETS + "add/", {"name": "token", "value": VALUE, "description": ""})
    portal.post(VARIABLES + "add/", VARIABLE)
    client.force_login(bob)
    for url, row in ((SECRETS, Secret.objects.get()), (VARIABLES, Variable.objects.get())):
        assert client.get(url).status_code == 200
        body = client.get(f"{url}{row.pk}/change/").content.decode()
        assert VALUE not in body
        assert 'name="value"' not in body
        assert client.post(f"{url}{row.pk}/change/", {"name": "b"}).status_code == 403
        assert client.get(url + "add/").status_code == 403
        assert client.post(f"{url}{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_the_editor_has_a_box_for_templates(portal):
    portal.post(VARIABLES + "add/", VARIABLE)
    row = publish(portal, "x: {{ vars.a }}\n")
    assert row.current.files[""]["template"] is True
    page = portal.get(f"{EDITOR}{row.pk}/change/").content.decode()
    fields = fields_of(page)
    assert (fields["template"], fields["template_asked"]) == ("on", "1")
    assert fields["raw_config"] == "x: {{ vars.a }}\r\n"
    fields |= {"stage": "publish", "shown_count": "100"}
    # The box is left as it is by a program that does not know it, and taken off by a person who does.
    few = {name: value for name, value in fields.items() if not name.startswith("template")}
    assert portal.post(f"{EDITOR}{row.pk}/change/", {**few, "raw_config": "y: {{ vars.a }}\n"}).status_code == 302
    row = Configuration.objects.select_related("current").get()
    assert row.current.files[""]["template"] is True
    fields = fields_of(portal.get(f"{EDITOR}{row.pk}/change/").content.decode())
    del fields["template"]
    answer = portal.post(f"{EDITOR}{row.pk}/change/", {**fields, "raw_config": "y: 1\n"})
    assert "template" in answer.content.decode()
    answer = portal.post(
        f"{EDITOR}{row.pk}/change/", {**fields, "raw_config": "y: 1\n", "stage": "publish", "shown_count": "100"}
    )
    assert answer.status_code == 302
    assert "template" not in Configuration.objects.select_related("current").get().current.files[""]


def test_a_template_that_cannot_work_is_refused_at_its_line(portal):
    fields = {
        "name": "t",
        "priority": "0",
        "raw_config": "a: 1\nb: {{ range(2) }}\n",
        "template": "on",
        "template_asked": "1",
    }
    body = portal.post(EDITOR + "add/", fields).content.decode()
    assert "line 2" in body
    assert not Configuration.objects.exists()


def test_problems_of_a_template_are_shown_while_it_is_typed(portal):
    fields = {
        "raw_config": "a: {{ labels.env }}\nb: {{ range(2) }}\n",
        "template": "on",
        "template_asked": "1",
        "file_count": "1",
    }
    body = portal.post(EDITOR + "problems/", fields).content.decode()
    assert "no part of the language" in body
    fields["raw_config"] = "a: {{ labels.env }}\n"
    assert "A label stands here without quotes" in portal.post(EDITOR + "problems/", fields).content.decode()
    del fields["template"]
    assert "A label stands here" not in portal.post(EDITOR + "problems/", fields).content.decode()


def test_what_an_agent_gets_is_a_page(portal, client, bob, charlie, report):
    agent = report("web-1", env="prod")
    portal.post(SECRETS + "add/", {"name": "token", "value": VALUE, "description": ""})
    row = publish(portal, 'x: {{ secrets.token | yaml }}\nhost: {{ labels["host.name"] | yaml }}\n')
    assert 'id="rendered"' in portal.get(f"{EDITOR}{row.pk}/change/").content.decode()
    url = f"{EDITOR}{row.pk}/rendered/"
    for asked in (str(agent.instance_uid), agent.name):
        body = portal.get(url, {"agent": asked}).content.decode()
        assert "host: &quot;web-1&quot;" in body
        assert "[redacted]" in body
        assert VALUE not in body
    assert "There is no such agent" in portal.get(url, {"agent": "nobody"}).content.decode()
    assert portal.get(url).status_code == 200
    client.force_login(bob)
    assert client.get(url).status_code == 200
    client.force_login(charlie)
    assert client.get(url).status_code == 403


def test_pages_speak_chinese(portal):
    portal.cookies["django_language"] = "zh-hans"
    for url in (VARIABLES, SECRETS, VARIABLES + "add/", SECRETS + "add/"):
        body = portal.get(url).content.decode()
        assert ("变量" in body) or ("密钥" in body) or ("机密" in body)
