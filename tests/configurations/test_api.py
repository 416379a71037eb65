"""The REST endpoint to configurations."""

from __future__ import annotations

import dataclasses
import json
import urllib.request

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from accounts.services import issue_token
from agents.models import Agent
from configurations import api as configurations_api
from configurations.models import Assignment, Configuration, Revision
from configurations.services import publishing

pytestmark = pytest.mark.django_db
URL = "/api/v1/configurations"
SEED = {
    "name": "prod-config",
    "display_name": "Production",
    "description": "",
    "content_type": "yaml",
    "raw_config": "receivers:\n  otlp: {}\n",
    "selector": {"env": "prod"},
}


def test_the_seeds_call_works(api_of, alice, report):
    agent = report(env="prod", region="us-east")
    answer = api_of(alice).post(URL, SEED)
    assert answer.status_code == 201, answer.json()
    body = answer.json()
    assert {key: body[key] for key in SEED} == {**SEED, "content_type": "text/yaml"}
    assert (body["revision"], body["priority"], body["enabled"], body["matched_agents"]) == (1, 0, True, 1)
    assert len(body["config_hash"]) == 64
    assert answer["etag"] == '"1"'
    shown = api_of(alice).get(f"/api/v1/agents/{agent.instance_uid}").json()
    assert shown["configuration"] == {"name": "prod-config", "revision": 1, "hash": body["config_hash"]}
    assert (shown["status"], shown["in_sync"]) == ("configuring", False)
    why = api_of(alice).get(f"/api/v1/agents/{agent.instance_uid}/configuration").json()
    assert why["candidates"][0]["wins"] is True
    assert why["candidates"][0]["clauses"][0]["satisfied"] is True


@pytest.mark.parametrize(
    ("healthy", "connected", "status", "advised"),
    [
        (True, True, "failed", True),
        (False, True, "failed", False),
        (None, True, "failed", False),
        (True, False, "failed", False),
        (True, True, "applied", False),
    ],
)
def test_a_healthy_agent_that_failed_is_worth_a_retry(api_of, alice, report, healthy, connected, status, advised):
    agent = report(env="prod")
    api_of(alice).post(URL, SEED)
    Agent.objects.update(healthy=healthy, connected=connected)
    Assignment.objects.update(status=status)
    url = f"/api/v1/agents/{agent.instance_uid}/configuration"
    advice = api_of(alice).get(url).json()["advice"]
    assert ("(retry)" in advice) if advised else (advice is None)
    if advised:
        assert "重试" in api_of(alice).get(url, headers={"accept-language": "zh-hans"}).json()["advice"]


def test_people_do_what_they_may(api_of, alice, bob, charlie):
    assert api_of(None).get(URL).status_code == 401
    assert api_of(charlie).get(URL).status_code == 403
    assert api_of(bob).get(URL).status_code == 200
    assert api_of(bob).post(URL, SEED).status_code == 403
    assert api_of(alice).post(f"{URL}/", SEED).status_code == 201
    assert AuditEntry.objects.get().verb == "configuration.create"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("raw_config", "a: [1\nb: 2\n", "line 2"),
        ("raw_config", "a: 1\na: 2\n", "line 2"),
        ("selector", {"matchExpressions": [{"key": "a", "operator": "Near"}]}, "operator"),
        ("selector", ["env"], ""),
        ("content_type", "no mime", ""),
        ("name", "no spaces please", ""),
        ("priority", 10**12, ""),
    ],
)
def test_what_cannot_be_saved_says_why_and_saves_nothing(api_of, alice, field, value, message):
    answer = api_of(alice).post(URL, {**SEED, field: value})
    assert (answer.status_code, answer["content-type"]) == (400, "application/problem+json")
    assert message in str(answer.json()["errors"][field])
    assert not Configuration.objects.exists()


def test_syntax_problems_come_with_line_and_column(api_of, alice):
    found = api_of(alice).post(URL, {**SEED, "raw_config": "a: 1\na: 2\n"}).json()["findings"]
    assert (found[0]["line"], found[0]["column"], found[0]["severity"]) == (2, 1, "error")


def test_two_edits_at_once_lose_nothing(api_of, alice):
    client = api_of(alice)
    client.post(URL, SEED)
    url = f"{URL}/prod-config"
    assert client.patch(url, {"raw_config": "b: 1\n"}, HTTP_IF_MATCH='"1"').json()["revision"] == 2
    assert client.patch(url, {"raw_config": "c: 1\n"}, HTTP_IF_MATCH='"1"').status_code == 412
    assert client.patch(url, {"raw_config": "c: 1\n", "revision": 1}).status_code == 409
    assert client.delete(url, HTTP_IF_MATCH='"1"').status_code == 412
    assert client.get(url).json()["raw_config"] == "b: 1\n"
    assert client.post(URL, SEED).status_code == 409


def test_revisions_are_kept_and_can_come_back(api_of, alice):
    client = api_of(alice)
    first = client.post(URL, SEED).json()
    url = f"{URL}/prod-config"
    client.patch(url, {"raw_config": "b: 1\n", "note": "try b"})
    assert client.get(f"{url}/revisions").json()["results"][0]["note"] == "try b"
    assert client.get(f"{url}/revisions/1").json()["hash"] == first["config_hash"]
    back = client.post(f"{url}/rollback", {"revision": 1}).json()
    assert (back["revision"], back["config_hash"]) == (3, first["config_hash"])
    assert client.post(f"{url}/rollback", {"revision": 99}).status_code == 404
    assert Revision.objects.count() == 3


def test_targeting_edits_move_exactly_the_agents_concerned(api_of, alice, report):
    prod, dev = report("p", env="prod"), report("d", env="dev")
    client = api_of(alice)
    client.post(URL, SEED)
    client.patch(f"{URL}/prod-config", {"selector": {"env": "dev"}})
    names = dict(Agent.objects.values_list("pk", "configuration_name"))
    assert names == {prod.pk: "", dev.pk: "prod-config"}
    client.patch(f"{URL}/prod-config", {"enabled": False})
    assert set(Agent.objects.values_list("configuration_name", flat=True)) == {""}
    client.patch(f"{URL}/prod-config", {"enabled": True, "selector": {}, "match_all": True})
    assert client.get(f"{URL}/prod-config/agents").json()["count"] == 2
    assert client.delete(f"{URL}/prod-config").status_code == 204
    assert set(Agent.objects.values_list("configuration_name", flat=True)) == {""}


def test_an_empty_selector_matches_nothing(api_of, alice, report):
    report(env="prod")
    assert api_of(alice).post(URL, {**SEED, "selector": {}}).json()["matched_agents"] == 0


def test_a_preview_counts_and_saves_nothing(api_of, alice, report):
    report("p", env="prod")
    report("d", env="dev", capabilities=1)
    client = api_of(alice)
    client.post(URL, SEED)
    body = client.post(f"{URL}/prod-config/preview", {"selector": {"env": "dev"}}).json()
    assert (body["matched"], body["gained"], body["lost"], body["incapable"]) == (1, 1, 1, 1)
    assert client.get(f"{URL}/prod-config").json()["revision"] == 1


def test_unknown_paths_are_problems(api_of, alice):
    for url in (f"{URL}/nothing", "/api/v1/no-such-thing", f"{URL}/nothing/revisions/1"):
        answer = api_of(alice).get(url)
        assert (answer.status_code, answer["content-type"]) == (404, "application/problem+json")


def test_an_edit_between_reading_and_writing_loses_nothing(api_of, alice, monkeypatch):
    client = api_of(alice)
    client.post(URL, SEED)
    url = f"{URL}/prod-config"
    stock, meanwhile = configurations_api.draft_of, iter([{"priority": 7}, {"display_name": "Other"}])

    def draft_of_a_moment_ago(configuration):
        """What was read, while somebody else writes."""
        draft = stock(configuration)
        change = next(meanwhile, None)
        if change:
            publishing.update_configuration(
                configuration.name, dataclasses.replace(draft, **change), by=None, at=timezone.now()
            )
        return draft

    monkeypatch.setattr(configurations_api, "draft_of", draft_of_a_moment_ago)
    answer = client.patch(url, {"description": "mine"})
    assert answer.status_code == 200, answer.content
    body = client.get(url).json()
    assert (body["description"], body["priority"], body["display_name"]) == ("mine", 7, "Other")
    # What somebody else called it made no revision; it was not lost all the same.
    assert body["revision"] == 2
    assert client.get(url)["etag"] == '"4"'


def test_an_edit_that_names_its_revision_is_not_made_on_top_of_another(api_of, alice, monkeypatch):
    client = api_of(alice)
    client.post(URL, SEED)
    stock, meanwhile = configurations_api.draft_of, iter([{"priority": 7}])

    def draft_of_a_moment_ago(configuration):
        draft = stock(configuration)
        for change in meanwhile:
            publishing.update_configuration(
                configuration.name, dataclasses.replace(draft, **change), by=None, at=timezone.now()
            )
        return draft

    monkeypatch.setattr(configurations_api, "draft_of", draft_of_a_moment_ago)
    answer = client.patch(f"{URL}/prod-config", {"description": "mine"}, HTTP_IF_MATCH='"1"')
    assert (answer.status_code, answer["content-type"]) == (412, "application/problem+json")
    assert client.get(f"{URL}/prod-config").json()["description"] == ""


@pytest.mark.parametrize(
    ("tag", "status"),
    [
        ('"1"', 200),
        ('W/"1"', 200),
        ("*", 200),
        ('"1", "2"', 200),
        ('"x" , W/"1"', 200),
        ('"2"', 412),
        ('"2", "3"', 412),
        ('"x"', 412),
        ("1", 412),
        ('"1" "2"', 412),
        ('"' * 999, 412),
    ],
)
def test_if_match_is_the_etag_or_the_edit_is_refused(api_of, alice, tag, status):
    client = api_of(alice)
    client.post(URL, SEED)
    assert client.get(f"{URL}/prod-config")["etag"] == '"1"'
    for method, path, body in (
        ("post", f"{URL}/prod-config/rollback", {"revision": 1}),
        ("patch", f"{URL}/prod-config", {}),
        ("put", f"{URL}/prod-config", {**SEED}),
        ("delete", f"{URL}/prod-config", None),
    ):
        answer = getattr(client, method)(path, body, HTTP_IF_MATCH=tag)
        assert answer.status_code in {status, 204 if status == 200 else status}, (method, answer.content)


def test_a_preview_of_what_does_not_exist_yet_saves_nothing(api_of, alice, bob, report):
    report("p", env="prod")
    report("d", env="dev")
    client = api_of(alice)
    client.post(URL, SEED)
    draft = {key: SEED[key] for key in ("raw_config", "content_type")}
    body = api_of(bob).post(f"{URL}/preview", {**draft, "match_all": True, "priority": 5}).json()
    assert (body["matched"], body["assigned"], body["gained"], body["lost"]) == (2, 2, 2, 0)
    assert {agent["name"] for agent in body["sample"]} == {"otelcol"}
    weaker = client.post(f"{URL}/preview", {**draft, "name": "zz", "match_all": True}).json()
    assert (weaker["matched"], weaker["assigned"]) == (2, 1)
    bad = client.post(f"{URL}/preview", {"raw_config": "a: [", "selector": {"env": "prod"}})
    assert (bad.status_code, bad.json()["findings"][0]["line"]) == (400, 1)
    assert Configuration.objects.count() == 1


def test_a_name_that_is_a_url_of_the_api_is_refused(api_of, alice):
    answer = api_of(alice).post(URL, {**SEED, "name": "preview"})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["name"])
    assert not Configuration.objects.exists()


def test_a_list_of_revisions_leaves_the_files_to_each(api_of, alice):
    client = api_of(alice)
    client.post(URL, SEED)
    (row,) = client.get(f"{URL}/prod-config/revisions").json()["results"]
    assert "files" not in row
    assert client.get(f"{URL}/prod-config/revisions/1").json()["files"][""]["body"] == SEED["raw_config"]
    for number in ("0", "2", "x", "1" * 40):
        assert client.get(f"{URL}/prod-config/revisions/{number}").status_code == 404


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("", 3),
        ("/prod-config", 2),
        ("/prod-config/revisions", 2),
        ("/prod-config/revisions/1", 2),
        ("/prod-config/agents", 3),
    ],
)
def test_pages_cost_a_fixed_number_of_queries(api_of, alice, report, django_assert_max_num_queries, path, most):
    client = api_of(alice)
    client.post(URL, SEED)
    for number in range(4):
        report(f"host-{number}", env="prod")
        client.post(URL, {**SEED, "name": f"other-{number}"})
        client.patch(f"{URL}/prod-config", {"raw_config": f"a: {number}\n"})
    with django_assert_max_num_queries(most):
        answer = client.get(f"{URL}{path}")
    assert answer.status_code == 200


def test_bytes_travel_as_base64(api_of, alice):
    client = api_of(alice)
    files = {"a.bin": {"body_base64": "AP8=", "content_type": "application/octet-stream"}}
    assert client.post(URL, {"name": "bytes", "files": files}).status_code == 201
    assert client.get(f"{URL}/bytes").json()["files"]["a.bin"]["body_base64"] == "[redacted]"
    shown = client.get(f"{URL}/bytes?secrets=shown").json()["files"]
    assert shown["a.bin"]["body_base64"] == "AP8="
    both = {"a": {"body": "x", "body_base64": "eA=="}}
    assert client.post(URL, {"name": "both", "files": both}).status_code == 400


@pytest.mark.parametrize(
    "files",
    [
        {"": {"body": "a: 1\n"}},
        {"": {"body": ""}},
        {"": {"body": "a: 1\n", "role": "main", "content_type": "text/x-other"}},
        {"": {"body_base64": "AP8=", "content_type": "application/octet-stream"}},
        {"other.yaml": {"body": "a: 1\n"}},
        {"": {"body": "a: 1\n"}, "more": {"body": "b: 1\n", "role": "r"}},
    ],
)
def test_what_is_read_and_written_back_changes_nothing(api_of, alice, files):
    client = api_of(alice)
    created = client.post(URL, {"name": "same", "files": files, "force": True})
    assert created.status_code == 201, created.content
    body = client.get(f"{URL}/same").json()
    for method in (client.put, client.patch):
        answer = method(f"{URL}/same", body).json()
        assert (answer["revision"], answer["config_hash"]) == (1, created.json()["config_hash"])
    contradiction = client.put(f"{URL}/same", {**body, "raw_config": "z: 1\n", "files": {"": {"body": "a: 1\n"}}})
    assert contradiction.status_code == 400


def test_a_new_text_keeps_the_role_of_its_file(api_of, alice):
    client = api_of(alice)
    client.post(URL, {"name": "role", "files": {"": {"body": "a: 1\n", "role": "main"}}})
    changed = client.patch(f"{URL}/role", {"raw_config": "b: 1\n"}).json()
    assert changed["files"][""] == {"body": "b: 1\n", "role": "main", "content_type": "text/yaml"}


SEED_CALL = """\
{"name": "prod-config", "display_name": "Production", "description": "", "content_type": "yaml",
 "raw_config": "receivers:\\n  otlp:\\n    protocols:\\n      grpc:\\n", "selector": {"env": "prod", "region": "us-east"}}"""


@pytest.mark.django_db(transaction=True)
def test_the_seeds_curl_call_works_verbatim_with_a_token(live_server, alice):
    _row, token = issue_token(alice, name="curl", by=None)
    call = urllib.request.Request(
        f"{live_server.url}/api/v1/configurations",
        data=SEED_CALL.encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept": "*/*"},
    )
    with urllib.request.urlopen(call, timeout=30) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (201, "application/json")
        assert json.load(answer)["selector"] == {"env": "prod", "region": "us-east"}
