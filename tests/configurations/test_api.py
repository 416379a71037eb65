"""The REST door to configurations."""

from __future__ import annotations

import pytest

from accounts.models import AuditEntry
from agents.models import Agent
from configurations.models import Configuration, Revision

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
