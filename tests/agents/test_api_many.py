"""The REST endpoint to many agents at once: restarts and labels by filter, by uids, or for all."""

from __future__ import annotations

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEntry
from agents.models import Agent, AgentCommand, AgentEvent

pytestmark = pytest.mark.django_db
URL = "/api/v1/agents"


def entries(verb: str) -> list[int]:
    """About how many agents each entry of the audit trail with this verb is."""
    found = AuditEntry.objects.filter(verb=verb).order_by("id")
    return [int(entry.data.get("count", 1)) for entry in found]


def test_many_agents_are_asked_to_restart(api_of, alice, report):
    chosen = [report(f"prod-{number}", env="prod") for number in range(3)]
    deaf = report("deaf", env="prod", capabilities=1)
    report("dev", env="dev")
    client = api_of(alice)
    client.post(f"{URL}/{chosen[0].instance_uid}/restart")
    answer = client.post(
        f"{URL}/restart", {"filter": {"label": "env=prod", "connected": True, "status": ["connected"]}}
    )
    assert (answer.status_code, answer.json()["asked"], answer.json()["skipped"]) == (200, 3, 1)
    (skipped,) = answer.json()["skipped_agents"]
    assert skipped["instance_uid"] == str(deaf.instance_uid)
    assert "AcceptsRestartCommand" in skipped["reason"]
    asked = AgentCommand.objects.filter(kind="restart", outcome="pending")
    assert sorted(asked.values_list("agent_id", flat=True)) == sorted(agent.pk for agent in chosen)
    assert entries("agent.restart") == [1, 2]
    assert AgentEvent.objects.filter(kind="command").count() == 3
    again = client.post(f"{URL}/restart/", {"filter": {"label": "env=prod"}})
    assert again.json()["asked"] == 3
    assert AgentCommand.objects.count() == 3


def test_agents_named_one_by_one(api_of, alice, report):
    known, unknown = report(), uuid.uuid4()
    body = api_of(alice).post(f"{URL}/restart", {"instance_uids": [str(known.instance_uid), str(unknown)]}).json()
    assert (body["asked"], body["skipped"]) == (1, 1)
    assert body["skipped_agents"] == [{"instance_uid": str(unknown), "reason": "There is no such agent."}]


def test_labels_of_many_agents_change_and_move_them(api_of, alice, report):
    client = api_of(alice)
    client.post("/api/v1/configurations", {"name": "ring-1", "raw_config": "a: 1\n", "selector": {"ring": "1"}})
    agents = [report(f"host-{number}") for number in range(4)]
    first = f"{URL}/{agents[0].instance_uid}"
    client.patch(first, {"operator_labels": {"ring": "1", "old": "x", "kept": "y"}})
    answer = client.post(f"{URL}/labels", {"filter": {"search": "host-"}, "set": {"ring": "1"}, "remove": ["old"]})
    assert (answer.status_code, answer.json()["asked"], answer.json()["skipped"]) == (200, 4, 0)
    assert client.get(first).json()["operator_labels"] == {"ring": "1", "kept": "y"}
    assert client.get(URL, {"label": "ring=1", "configuration": "ring-1"}).json()["count"] == 4
    assert entries("agent.edit") == [1, 4]
    again = client.post(f"{URL}/labels", {"match_all": True, "set": {"ring": "1"}}).json()
    assert (again["asked"], again["skipped"]) == (0, 4)
    client.post(f"{URL}/labels", {"match_all": True, "remove": ["ring"]})
    assert client.get(URL, {"configuration": "ring-1"}).json()["count"] == 0


@pytest.mark.parametrize("action", ["restart", "labels"])
@pytest.mark.parametrize(
    "choice",
    [
        {}, {"filter": {}}, {"instance_uids": []}, {"match_all": False}, {"match_all": True, "filter": {"label": "a=b"}},
        {"filter": {"label": "a in ("}}, {"filter": {"status": "online"}}, {"filter": {"stauts": "error"}},
        {"filter": {"ordering": "name"}}, {"filter": {"version": 5}}, {"filter": {"version": ["a", "b"]}},
        {"filter": {"version": ""}}, {"filter": {"search": "\x00"}}, {"filter": "env=prod"}, {"filter": {"status": []}},
        {"filter": {"label": "env", "status": " , "}}, {"filter": {"search": " "}}, {"filter": {"healthy": "maybe"}},
        {"instance_uids": ["no uuid"]}, {"instance_uids": [5]}, {"instance_uids": "x"}, {"match_all": "yes"},
    ],
)  # fmt: skip
def test_a_choice_that_is_none_touches_nobody(api_of, alice, report, action, choice):
    report()
    body = {**choice, **({"set": {"a": "b"}} if action == "labels" else {})}
    answer = api_of(alice).post(f"{URL}/{action}", body)
    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"]
    assert not AgentCommand.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({}, "set"), ({"set": {}}, "set"), ({"set": {"a b": "c"}}, "set"), ({"set": {"a": 1}}, "set"),
        ({"set": {"a": "\x00"}}, "set"), ({"set": {"a": "b"}, "remove": ["a"]}, "remove"), ({"remove": "a"}, "remove"),
    ],
)  # fmt: skip
def test_labels_that_nobody_can_have_touch_nobody(api_of, alice, report, change, named):
    report()
    answer = api_of(alice).post(f"{URL}/labels", {"match_all": True, **change})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [named]), answer.content
    assert not AuditEntry.objects.exists()


def test_one_request_touches_a_bounded_number_of_agents(api_of, alice, report, monkeypatch):
    monkeypatch.setattr("agents.api_many.MOST", 2)
    for number in range(3):
        report(f"host-{number}")
    answer = api_of(alice).post(f"{URL}/restart", {"match_all": True})
    assert answer.status_code == 400
    assert "narrow the filter" in answer.json()["errors"]["filter"][0]
    assert not AgentCommand.objects.exists()


@pytest.mark.parametrize("action", ["restart", "labels"])
def test_many_agents_cost_few_queries(api_of, alice, report, action):
    client = api_of(alice)
    body = {"match_all": True, **({"set": {"a": "b"}} if action == "labels" else {})}

    def cost(number: int) -> int:
        Agent.objects.all().delete()
        for index in range(number):
            report(f"host-{index}")
        with CaptureQueriesContext(connection) as queries:
            assert client.post(f"{URL}/{action}", body).json()["asked"] == number
        return len(queries)

    assert cost(3) == cost(20)
