"""The REST door to agents."""

from __future__ import annotations

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEntry
from agents.models import Agent

pytestmark = pytest.mark.django_db
URL = "/api/v1/agents"


def test_people_see_what_they_may(api_of, alice, bob, charlie, report):
    agent = report()
    for url in (URL, f"{URL}/{agent.instance_uid}", f"{URL}/{agent.instance_uid}/timeline", f"{URL}/summary"):
        anonymous = api_of(None).get(url)
        assert (anonymous.status_code, anonymous["content-type"]) == (401, "application/problem+json")
        assert anonymous["www-authenticate"].startswith("Bearer")
        assert api_of(charlie).get(url).status_code == 403
        assert api_of(bob).get(url).status_code == 200
        assert api_of(bob).get(f"{url}/").status_code == 200


def test_a_viewer_changes_nothing(api_of, bob, report):
    url = f"{URL}/{report().instance_uid}"
    assert api_of(bob).patch(url, {"notes": "x"}).status_code == 403
    assert api_of(bob).delete(url).status_code == 403
    assert api_of(bob).post(f"{url}/restart").status_code == 403
    assert not AuditEntry.objects.exists()


def test_an_agent_is_shown_as_the_contract_says(api_of, alice, report):
    agent = report(env="prod")
    body = api_of(alice).get(f"{URL}/{agent.instance_uid}").json()
    assert body["instance_uid"] == str(agent.instance_uid)
    assert (body["status"], body["connected"], body["healthy"], body["in_sync"]) == ("connected", True, True, None)
    assert (body["hostname"], body["os_type"], body["architecture"]) == ("web-1", "linux", "amd64")
    assert "AcceptsRemoteConfig" in body["capabilities"]
    assert body["labels"]["env"] == "prod"
    assert body["remote_config_status"] == {"status": "unset", "config_hash": "", "error_message": ""}
    assert body["configuration"] is None
    assert body["effective_config"] == {"": {"body": "receivers: {}\n"}}
    assert "effective_config" not in api_of(alice).get(URL).json()["results"][0]


@pytest.mark.defect(15)
def test_statuses_pages_and_filters_agree_over_the_whole_list(api_of, alice, report):
    for number in range(7):
        report(f"host-{number}", healthy=number % 3 != 0, env="prod" if number % 2 else "dev")
    Agent.objects.filter(hostname="host-1").update(connected=False)
    client = api_of(alice)
    summary = client.get(f"{URL}/summary").json()
    assert summary["total"] == 7
    for status, number in summary["status"].items():
        assert client.get(URL, {"status": status}).json()["count"] == number
    assert summary["status"] == {"connected": 3, "disconnected": 1, "configuring": 0, "error": 3}
    page = client.get(URL, {"page": 2, "page_size": 3, "ordering": "hostname"}).json()
    assert [row["hostname"] for row in page["results"]] == ["host-3", "host-4", "host-5"]
    assert client.get(URL, {"label": "env=prod,os.type in (linux)"}).json()["count"] == 3
    assert client.get(URL, {"label": "env!=prod"}).json()["count"] == 4
    assert client.get(URL, {"label": "service.version>0.100,!gone"}).json()["count"] == 7
    assert client.get(URL, {"search": "host-4"}).json()["count"] == 1
    assert client.get(URL, {"healthy": "false"}).json()["count"] == 3


def test_wrong_questions_get_a_problem(api_of, alice):
    client = api_of(alice)
    for query in ({"label": "env in ("}, {"status": "online"}, {"healthy": "banana"}, {"ordering": "password"}):
        answer = client.get(URL, query)
        assert answer.status_code == 400, query
        assert answer.json()["errors"]
    for uid in ("no-uuid", uuid.uuid4()):
        answer = client.get(f"{URL}/{uid}")
        assert (answer.status_code, answer["content-type"]) == (404, "application/problem+json")


def test_the_list_costs_the_same_queries_whatever_its_length(api_of, alice, report):
    report("a")
    client = api_of(alice)
    with CaptureQueriesContext(connection) as one:
        client.get(URL)
    for number in range(12):
        report(f"b{number}")
    with CaptureQueriesContext(connection) as many:
        client.get(URL)
    assert len(one) == len(many) <= 3


def test_operators_edit_and_the_audit_trail_knows(api_of, alice, report):
    agent = report()
    client = api_of(alice)
    url = f"{URL}/{agent.instance_uid}"
    body = client.patch(url, {"name": "Edge 1", "operator_labels": {"env": "prod"}, "notes": "rack 4"}).json()
    assert (body["name"], body["labels"]["env"], body["notes"]) == ("Edge 1", "prod", "rack 4")
    bad = client.patch(url, {"operator_labels": {"": "x"}})
    assert bad.status_code == 400
    assert bad.json()["errors"]["operator_labels"]
    assert Agent.objects.get(pk=agent.pk).operator_labels == {"env": "prod"}
    assert AuditEntry.objects.filter(verb="agent.edit").count() == 1
    assert client.post(f"{url}/restart").status_code == 202
    assert client.post(f"{url}/restart").status_code == 202
    assert AuditEntry.objects.filter(verb="agent.restart").count() == 1
    assert client.delete(url).status_code == 204
    assert client.get(url).status_code == 404


def test_a_restart_needs_the_capability(api_of, alice, report):
    answer = api_of(alice).post(f"{URL}/{report(capabilities=1).instance_uid}/restart")
    assert answer.status_code == 409
    assert "AcceptsRestartCommand" in answer.json()["detail"]
