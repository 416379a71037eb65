"""Freezes, pauses and pins over REST, and what the portal says of who is held, pinned, or has to wait."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from configurations.services.publishing import AT_ONCE, ReleasePlan, create_configuration, update_configuration
from rollouts.models import Freeze
from rollouts.policies import parse_policy
from tests.rollouts.fleet import Fleet
from tests.rollouts.test_rolling_out import AT, NEW, OLD, draft

pytestmark = pytest.mark.django_db(transaction=True)
FREEZES = "/api/v1/freezes"


@pytest.fixture
def fleet() -> Fleet:
    """Three agents that have applied revision 1 of c, and a configuration that matches nobody."""
    create_configuration("c", draft(OLD), by=None, at=AT, force=True)
    create_configuration("s", draft(NEW, selector={"env": "lab"}), by=None, at=AT, force=True)
    fleet = Fleet(AT)
    fleet.join(3, env="prod")
    fleet.answer(fleet.agents)
    return fleet


@pytest.fixture
def api(alice, api_of, fleet):
    return api_of(alice)


def url(fleet: Fleet, act: str = "", number: int = 0) -> str:
    return f"/api/v1/agents/{fleet.agents[number].uid}{act}"


def why(api: Any, fleet: Fleet) -> Any:
    return api.get(url(fleet, "/configuration")).data


def listed(api: Any, query: str) -> set[str]:
    answer = api.get(f"/api/v1/agents?{query}")
    assert answer.status_code == 200, answer.data
    return {each["instance_uid"] for each in answer.data["results"]}


class TestFreezes:
    def test_started_listed_and_ended(self, api, fleet):
        end = (timezone.now() + timedelta(hours=1)).isoformat()
        made = api.post(FREEZES, {"selector": {"env": "prod"}, "reason": "incident", "expires_at": end}, format="json")
        assert made.status_code == 201, made.data
        assert (made.data["active"], made.data["started_by"], made.data["selector"]) == (True, "alice", {"env": "prod"})
        again = api.post(FREEZES, {"selector": {"env": "prod"}, "reason": "incident"}, format="json")
        assert (again.status_code, again.data["code"]) == (409, "frozen-already")
        assert "alice" in again.data["detail"]
        assert api.get(f"{FREEZES}?active=true").data["results"] == [made.data]
        held = why(api, fleet)["held"]
        assert (held["kind"], held["freeze"], held["reason"], held["by"]) == (
            "freeze", made.data["id"], "incident", "alice",
        )  # fmt: skip
        ended = api.post(f"{FREEZES}/{made.data['id']}/end", format="json")
        assert (ended.data["active"], ended.data["ended_by"]) == (False, "alice")
        assert api.post(f"{FREEZES}/{made.data['id']}/end", format="json").status_code == 409
        assert api.get(f"{FREEZES}/{made.data['id']}").data == ended.data
        assert api.get(f"{FREEZES}?active=true").data["results"] == []
        assert why(api, fleet)["held"] is None
        assert api.get(f"{FREEZES}/999").status_code == 404

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"match_all": True}, "invalid-request"),
            ({"match_all": True, "reason": " "}, "reason-missing"),
            ({"match_all": True, "reason": "two\nlines"}, "reason-not-a-line"),
            ({"match_all": True, "reason": "r", "expires_at": "2020-01-01T00:00:00Z"}, "expiry-out-of-range"),
            ({"reason": "r"}, "invalid-request"),
            ({"reason": "r", "match_all": True, "selector": {"env": "prod"}}, "invalid-request"),
            ({"reason": "r", "selector": {}}, "invalid-request"),
            ({"reason": "r", "match_all": "yes"}, "invalid-request"),
            ({"reason": "r", "match_all": True, "why": "?"}, "invalid-request"),
        ],
    )
    def test_what_is_no_freeze_is_refused(self, api, body, code):
        answer = api.post(FREEZES, body, format="json")
        assert (answer.status_code, answer.data["code"]) == (400, code)
        assert not Freeze.objects.exists()

    def test_who_may(self, api_of, alice, bob, charlie, fleet):
        body = {"match_all": True, "reason": "r"}
        made = api_of(alice).post(FREEZES, body, format="json")
        assert api_of(bob).get(FREEZES).data["results"] == [made.data]
        for person in (bob, charlie):
            assert api_of(person).post(FREEZES, body, format="json").status_code == 403
            assert api_of(person).post(f"{FREEZES}/{made.data['id']}/end").status_code == 403
            assert api_of(person).post(url(fleet, "/pause"), {"reason": "r"}, format="json").status_code == 403
            assert api_of(person).post(url(fleet, "/unpin"), format="json").status_code == 403
        assert api_of(charlie).get(FREEZES).status_code == 403


class TestPauses:
    def test_one_agent_is_paused_and_goes_on(self, api, fleet):
        paused = api.post(url(fleet, "/pause"), {"reason": "debugging"}, format="json")
        assert paused.status_code == 200, paused.data
        uid = str(fleet.agents[0].uid)
        assert (paused.data["instance_uid"], paused.data["match_all"], paused.data["selector"]) == (uid, False, None)
        again = api.post(url(fleet, "/pause"), {"reason": "debugging"}, format="json")
        assert (again.status_code, again.data["code"]) == (409, "agent-paused-already")
        assert listed(api, "paused=true") == {uid}
        assert len(listed(api, "paused=false")) == 2
        assert api.get("/api/v1/agents?paused=maybe").status_code == 400
        chosen = api.post("/api/v1/agents/restart", {"filter": {"paused": True}}, format="json")
        assert chosen.data["asked"] == 1
        assert why(api, fleet)["held"]["kind"] == "pause"
        assert api.post(url(fleet, "/resume"), format="json").status_code == 204
        assert api.post(url(fleet, "/resume"), format="json").data["code"] == "agent-not-paused"
        assert listed(api, "paused=true") == set()
        assert api.post("/api/v1/agents/nobody/pause", {"reason": "r"}, format="json").status_code == 404

    def test_a_restart_is_not_held(self, api, fleet):
        api.post(url(fleet, "/pause"), {"reason": "debugging"}, format="json")
        assert api.post(url(fleet, "/restart"), format="json").status_code == 202


class TestPins:
    def test_one_agent_is_pinned_and_unpinned(self, api, fleet):
        pinned = api.post(url(fleet, "/pin"), {"configuration": "s", "revision": 1, "reason": "t7"}, format="json")
        assert pinned.status_code == 200, pinned.data
        assert (pinned.data["configuration"], pinned.data["revision"], pinned.data["pinned_by"]) == ("s", 1, "alice")
        desired = why(api, fleet)
        assert desired["pin"] == pinned.data
        assert (desired["name"], desired["reason"]) == ("s", "pinned")
        first = desired["candidates"][0]
        assert (first["name"], first["wins"], first["pinned"], first["matches"]) == ("s", True, True, False)
        assert listed(api, "pinned=true") == {str(fleet.agents[0].uid)}
        assert listed(api, "pinned=true&configuration=c") == set()
        refused = api.delete("/api/v1/configurations/s")
        assert (refused.status_code, refused.data["code"]) == (409, "still-pinned")
        assert api.post(url(fleet, "/unpin"), format="json").status_code == 204
        assert api.post(url(fleet, "/unpin"), format="json").data["code"] == "agent-not-pinned"
        assert why(api, fleet)["pin"] is None
        assert api.delete("/api/v1/configurations/s").status_code == 204

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"configuration": "nothing", "reason": "r"}, 400, "no-such-configuration"),
            ({"configuration": "c", "revision": 9, "reason": "r"}, 404, "unknown-revision"),
            ({"configuration": "c", "revision": 0, "reason": "r"}, 400, "invalid-request"),
            ({"configuration": "c", "reason": ""}, 400, "reason-missing"),
            ({"reason": "r"}, 400, "invalid-request"),
        ],
    )
    def test_what_is_no_pin_is_refused(self, api, fleet, body, status, code):
        answer = api.post(url(fleet, "/pin"), body, format="json")
        assert (answer.status_code, answer.data["code"]) == (status, code)

    def test_a_preview_leaves_pinned_agents_where_they_are(self, api, fleet):
        api.post(url(fleet, "/pin"), {"configuration": "s", "revision": 1, "reason": "t7"}, format="json")
        api.post(url(fleet, "/pin", 1), {"configuration": "s", "reason": "t7"}, format="json")
        of_c = api.post("/api/v1/configurations/c/preview", {"priority": 5}, format="json").data
        assert (of_c["matched"], of_c["assigned"], of_c["lost"]) == (1, 1, 0)
        of_s = api.post("/api/v1/configurations/s/preview", {"priority": 5}, format="json").data
        assert (of_s["assigned"], of_s["gained"], of_s["lost"]) == (1, 0, 0)
        labels = {"instance_uids": [str(fleet.agents[0].uid)], "set": {"env": "nowhere"}}
        assert api.post("/api/v1/agents/labels/preview", labels, format="json").data["moves"] == []


def test_why_is_told_of_the_revision_that_is_released_to_this_agent(api, fleet):
    """Not of what was written last: that has other targeting, and has not come to everybody."""
    policy = parse_policy({"stages": [{"count": 1}], "gate": {"timeout_seconds": 60}})
    update_configuration(
        "c", draft(NEW, selector={"env": "prod", "host.name": "elsewhere"}, priority=9), by=None, at=AT, force=True,
        plan=ReleasePlan(policy),
    )  # fmt: skip
    told = [api.get(f"/api/v1/agents/{agent.uid}/configuration").data["candidates"] for agent in fleet.agents]
    of_c = [next(each for each in candidates if each["name"] == "c") for candidates in told]
    # The first stage has one agent, which lost it; the two others keep revision 1, and wait.
    assert sorted(
        (each["revision"], each["priority"], each["matches"], each["wins"], each["waiting_for"] or 0) for each in of_c
    ) == [
        (1, 0, True, True, 2),
        (1, 0, True, True, 2),
        (2, 9, False, False, 0),
    ]
    update_configuration("c", draft(OLD, priority=3), by=None, at=AT, force=True, plan=AT_ONCE)
    now = why(api, fleet)["candidates"][0]
    assert (now["revision"], now["priority"], now["wins"], now["waiting_for"]) == (3, 3, True, None)
