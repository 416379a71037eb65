"""The REST endpoints to variables and secrets, to templates, and to what an agent gets."""

from __future__ import annotations

import pytest

from accounts.models import AuditEntry
from agents.models import Agent
from configurations.models import Assignment, Configuration, Revision
from variables.models import Secret, Variable

pytestmark = pytest.mark.django_db
VARIABLES, SECRETS, CONFIGURATIONS = "/api/v1/variables", "/api/v1/secrets", "/api/v1/configurations"
VALUE = "hunter22-value"


@pytest.fixture
def api(api_of, alice):
    return api_of(alice)


def template(text="a: {{ vars.a }}\n", **more):
    return {"name": "t", "raw_config": text, "template": True, "selector": {"env": "prod"}, **more}


def test_variables_are_made_changed_and_deleted(api):
    answer = api.post(VARIABLES, {"name": "a", "value": "1", "selector": {"env": "prod"}, "match_all": False})
    assert answer.status_code == 201, answer.json()
    body = answer.json()
    assert (body["name"], body["value"], body["selector"], body["used_by"]) == ("a", "1", {"env": "prod"}, [])
    assert (body["updated_by"], body["rerendered"]) == ("alice", [])
    url = f"{VARIABLES}/{body['id']}"
    assert api.patch(url, {"value": "2"}).json()["selector"] == {"env": "prod"}
    assert api.put(url, {"name": "a", "value": "3"}).json()["match_all"] is True
    assert api.get(VARIABLES, {"name": "a"}).json()["results"][0]["value"] == "3"
    assert api.delete(url).status_code == 204
    assert api.get(url).status_code == 404
    assert list(AuditEntry.objects.order_by("id").values_list("verb", flat=True)) == [
        "variable.create", "variable.update", "variable.update", "variable.delete",
    ]  # fmt: skip


def test_a_name_means_its_only_value_and_of_several_none(api, api_of, charlie):
    first = api.post(VARIABLES, {"name": "_7", "value": "1"}).json()["id"]
    url = f"{VARIABLES}/_7"
    assert api.get(f"{url}/").json()["id"] == first
    assert api.patch(f"{url}?dry_run=true", {"value": "2"}).json()["obstacles"] == []
    assert api.put(url, {"name": "_7", "value": "3"}).json()["value"] == "3"
    second = api.post(VARIABLES, {"name": "_7", "value": "4", "priority": 1}).json()["id"]
    for answer in (api.get(url), api.put(url, {"name": "_7", "value": "5"}), api.patch(url, {}), api.delete(url)):
        assert (answer.status_code, answer.json()["code"]) == (409, "variable-name-shared")
        assert answer.json()["detail"].endswith(f" {first}, {second}.")
    assert api_of(charlie).get(url).status_code == 403
    assert sorted(Variable.objects.values_list("value", flat=True)) == ["3", "4"]
    assert api.get(f"{VARIABLES}/{second + 7}").status_code == api.get(f"{VARIABLES}/other").status_code == 404


@pytest.mark.parametrize(
    ("url", "body", "field"),
    [
        (VARIABLES, {"value": "1"}, "name"),
        (VARIABLES, {"name": "a b", "value": "1"}, "name"),
        (VARIABLES, {"name": "1a", "value": "1"}, "name"),
        (VARIABLES, {"name": "a", "value": 1}, "value"),
        (VARIABLES, {"name": "a", "value": "x" * 65_537}, "value"),
        (VARIABLES, {"name": "a", "selector": {"matchExpressions": 1}, "match_all": False}, "selector"),
        (VARIABLES, {"name": "a", "colour": "red"}, "colour"),
        (SECRETS, {"name": "a"}, "value"),
        (SECRETS, {"name": "a", "value": ""}, "value"),
        (SECRETS, {"name": "a-b", "value": VALUE}, "name"),
        (SECRETS, {"name": "a", "value": "x" * 65_537}, "value"),
    ],
)
def test_what_cannot_be_saved_is_named(api, url, body, field):
    answer = api.post(url, body)
    assert answer.status_code == 400
    assert field in answer.json()["errors"], answer.json()
    assert (Variable.objects.count(), Secret.objects.count()) == (0, 0)


def test_a_secret_is_written_and_never_read(api):
    answer = api.post(SECRETS, {"name": "token", "value": VALUE})
    assert answer.status_code == 201
    assert (answer.json()["has_value"], "value" in answer.json()) == (True, False)
    assert answer["cache-control"]
    assert "no-store" in answer["cache-control"]
    for found in (api.get(SECRETS), api.get(f"{SECRETS}/token"), api.patch(f"{SECRETS}/token", {"description": "x"})):
        assert found.status_code == 200
        assert VALUE not in found.content.decode()
    row = Secret.objects.get()
    assert VALUE not in row.encrypted
    assert row.former == []
    assert api.put(f"{SECRETS}/token", {"name": "token", "value": "other-value"}).status_code == 200
    row.refresh_from_db()
    assert len(row.former) == 1
    assert VALUE not in repr(list(AuditEntry.objects.values()))
    assert api.post(SECRETS, {"name": "token", "value": VALUE}).json()["errors"]["name"]
    assert api.delete(f"{SECRETS}/token").status_code == 204


def test_people_do_what_they_may(api_of, alice, bob, charlie):
    for url in (VARIABLES, SECRETS):
        assert api_of(None).get(url).status_code == 401
        assert api_of(charlie).get(url).status_code == 403
        assert api_of(bob).get(url).status_code == 200
        assert api_of(bob).post(url, {"name": "a", "value": VALUE}).status_code == 403
        assert api_of(alice).get(url, {"nonsense": "1"}).status_code == 400
    assert api_of(alice).get(VARIABLES, {"dry_run": "true"}).status_code == 400
    assert api_of(alice).post(f"{VARIABLES}?dry_run=perhaps", {"name": "a"}).status_code == 400


def test_a_change_is_counted_before_it_is_made(api, report):
    api.post(VARIABLES, {"name": "a", "value": "1"})
    agents = [report(env="prod"), report("web-2", env="prod")]
    assert api.post(CONFIGURATIONS, template()).status_code == 201
    pk = Variable.objects.get().pk
    before = list(Agent.objects.order_by("pk").values_list("configuration_hash", flat=True))
    answer = api.patch(f"{VARIABLES}/{pk}?dry_run=true", {"value": "2"})
    assert answer.json() == {
        "rerendered": [{"name": "t", "agents": 2, "changes": 2, "failures": 0}],
        "rollouts": [],
        "obstacles": [],
    }
    assert list(Agent.objects.order_by("pk").values_list("configuration_hash", flat=True)) == before
    assert Variable.objects.get().value == "1"
    assert AuditEntry.objects.filter(verb="variable.update").count() == 0
    answer = api.patch(f"{VARIABLES}/{pk}", {"value": "2"})
    assert answer.json()["rerendered"] == [{"name": "t", "agents": 2, "changes": 2, "failures": 0}]
    assert Agent.objects.get(pk=agents[0].pk).configuration_hash not in before
    assert Revision.objects.count() == 1


def test_what_is_used_is_not_deleted_nor_renamed(api):
    api.post(VARIABLES, {"name": "a", "value": "1"})
    api.post(SECRETS, {"name": "token", "value": VALUE})
    assert api.post(CONFIGURATIONS, template("a: {{ vars.a }}\nb: {{ secrets.token }}\n")).status_code == 201
    pk = Variable.objects.get().pk
    for answer in (
        api.delete(f"{VARIABLES}/{pk}"),
        api.delete(f"{SECRETS}/token"),
        api.patch(f"{VARIABLES}/{pk}", {"name": "b"}),
        api.patch(f"{SECRETS}/token", {"name": "b"}),
        api.delete(f"{SECRETS}/token?dry_run=true"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "value-in-use")
        assert "used by t" in answer.json()["detail"]
    assert api.get(f"{VARIABLES}/{pk}").json()["used_by"] == ["t"]
    assert api.get(f"{SECRETS}/token").json()["used_by"] == ["t"]
    # A second value of the name may go; what stays is one that agents have.
    second = api.post(VARIABLES, {"name": "a", "value": "2", "selector": {"env": "dev"}, "match_all": False}).json()
    assert api.delete(f"{VARIABLES}/{second['id']}").status_code == 204
    assert api.patch(f"{CONFIGURATIONS}/t", {"raw_config": "a: 1\n", "template": False}).status_code == 200
    assert api.delete(f"{VARIABLES}/{pk}").status_code == 204


def test_a_file_is_a_template_only_where_it_says_so(api):
    plain = api.post(CONFIGURATIONS, {"name": "plain", "raw_config": "a: '{{ vars.none }}'\n"})
    assert (plain.status_code, plain.json()["template"]) == (201, False)
    assert "template" not in plain.json()["files"][""]
    assert "template" not in Revision.objects.get().files[""]
    api.post(VARIABLES, {"name": "a", "value": "1"})
    body = api.post(CONFIGURATIONS, template(files={"x": {"body": "b: '{{ vars.a }}'\n"}})).json()
    assert body["template"] is True
    assert (body["files"][""]["template"], "template" in body["files"]["x"]) == (True, False)
    same = api.get(f"{CONFIGURATIONS}/t").json()
    assert api.patch(f"{CONFIGURATIONS}/t", {"description": "x"}).json()["template"] is True
    changed = api.patch(
        f"{CONFIGURATIONS}/t", {"files": {**same["files"], "x": {"body": "b: '{{ vars.a }}'\n", "template": True}}}
    )
    assert changed.status_code == 200, changed.json()
    assert (changed.json()["revision"], changed.json()["config_hash"] != same["config_hash"]) == (2, True)
    opposite = {"files": {"": {"body": "a: 1\n", "template": True}}, "template": False}
    assert api.patch(f"{CONFIGURATIONS}/t", opposite).json()["errors"]["template"]
    assert api.put(f"{CONFIGURATIONS}/t", {"raw_config": "a: 1\n"}).json()["template"] is False


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("a: 1\nb: {{ range(3) }}\n", "template-not-allowed", 2),
        ("a: {{ vars.none }}\n", "no-such-value", 1),
        ("a: {{ secrets.none | yaml }}\n", "no-such-value", 1),
        ("a: {{ vars.a\n", "template-syntax", 1),
        ("a: {{ vars.a }}\n b: [\n", None, 2),
    ],
)
def test_templates_that_cannot_work_are_refused(api, text, code, line):
    api.post(VARIABLES, {"name": "a", "value": "1"})
    answer = api.post(CONFIGURATIONS, template(text))
    assert answer.status_code == 400, answer.json()
    found = answer.json()["findings"][0]
    assert (found["line"], found["severity"]) == (line, "error")
    assert code in (None, found["code"])
    assert answer.json()["errors"]["raw_config"]
    assert not Configuration.objects.exists()


@pytest.mark.parametrize(
    "text",
    ["a: {{ vars.none | default('x') }}\n", "a: {% if vars.none is defined %}{{ vars.a }}{% else %}1{% endif %}\n"],
)
def test_a_name_with_a_default_need_not_exist(api, text):
    api.post(VARIABLES, {"name": "a", "value": "1"})
    assert api.post(CONFIGURATIONS, template(text)).status_code == 201


def test_a_bare_label_is_a_warning(api):
    answer = api.post(
        CONFIGURATIONS, template('a: {{ labels.env }}\nb: "{{ labels.env }}"\nc: {{ labels.env | yaml }}\n')
    )
    found = [item for item in answer.json()["warnings"] if item["code"] == "label-unquoted"]
    assert [item["line"] for item in found] == [1]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("exporters:\n  otlp:\n    headers:\n      authorization: Bearer abcdef0123456789abcdef\n", [4]),
        ("a:\n  password: correct-horse\nb:\n  api_key: 0123456789abcdef\n", [2, 4]),
        ("a:\n  password: ${env:PASSWORD}\n", []),
        ("a: 1\n", []),
    ],
)
def test_a_password_in_clear_text_is_proposed_as_a_secret(api, text, lines):
    answer = api.post(CONFIGURATIONS, {"name": "plain", "raw_config": text})
    assert answer.status_code == 201
    found = [item for item in answer.json()["warnings"] if item["code"] == "password-in-clear-text"]
    assert [item["line"] for item in found] == lines
    assert "correct-horse" not in answer.content.decode()


def test_a_secret_of_a_template_is_no_password_in_clear_text(api):
    api.post(SECRETS, {"name": "token", "value": VALUE})
    answer = api.post(CONFIGURATIONS, template("a:\n  password: {{ secrets.token | yaml }}\n"))
    assert answer.status_code == 201, answer.json()
    assert "password-in-clear-text" not in {item["code"] for item in answer.json()["warnings"]}
    assert answer.json()["raw_config"] == "a:\n  password: {{ secrets.token | yaml }}\n"


def test_what_an_agent_gets_is_shown_without_secrets(api, api_of, bob, charlie, report):
    agent = report(env="prod")
    api.post(SECRETS, {"name": "token", "value": VALUE})
    text = 'host: {{ labels["host.name"] }}\nx: {{ secrets.token | yaml }}\ny: "{{ secrets.token }}!"\n'
    assert api.post(CONFIGURATIONS, template(text)).status_code == 201
    url = f"{CONFIGURATIONS}/t/rendered"
    found = api.get(url, {"agent": str(agent.instance_uid)})
    assert found.status_code == 200, found.json()
    body = found.json()
    assert body["files"][""]["body"] == 'host: web-1\nx: "[redacted]"\ny: "[redacted]!"\n'
    assert (body["revision"], body["error"]) == (1, None)
    agent.refresh_from_db()
    assert body["config_hash"] == agent.configuration_hash
    assert VALUE not in found.content.decode()
    assert api_of(bob).get(url, {"agent": str(agent.instance_uid)}).status_code == 200
    assert api_of(charlie).get(url, {"agent": str(agent.instance_uid)}).status_code == 403
    assert api.get(url).status_code == 400
    assert api.get(url, {"agent": "nobody"}).status_code == 400
    assert api.get(f"{CONFIGURATIONS}/none/rendered", {"agent": str(agent.instance_uid)}).status_code == 404
    bad = report(env="prod", region="x\ny")
    api.patch(f"{CONFIGURATIONS}/t", {"raw_config": "a: {{ labels.region }}\n"})
    body = api.get(url, {"agent": str(bad.instance_uid)}).json()
    assert (body["files"], body["config_hash"]) == ({}, "")
    assert "line 1" in body["error"]
    assert Assignment.objects.get(agent=bad).error_message == body["error"]


def test_a_roll_back_brings_templates_back(api, report):
    api.post(VARIABLES, {"name": "a", "value": "1"})
    agent = report(env="prod")
    api.post(CONFIGURATIONS, template())
    first = Agent.objects.get(pk=agent.pk).configuration_hash
    api.patch(f"{CONFIGURATIONS}/t", {"raw_config": "b: 2\n", "template": False})
    answer = api.post(f"{CONFIGURATIONS}/t/rollback", {"revision": 1})
    assert (answer.status_code, answer.json()["template"]) == (200, True)
    assert Agent.objects.get(pk=agent.pk).configuration_hash == first
