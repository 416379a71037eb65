"""Rollouts over REST: started by an edit, watched, and acted on."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from rollouts.models import Rollout
from tests.rollouts.fleet import Fleet
from tests.rollouts.test_rolling_out import AT

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/api/v1/configurations/c"
CANARY = {"stages": [{"count": 2}], "gate": {"timeout_seconds": 60}}


def body(text: str, **more: object) -> dict[str, object]:
    return {"selector": {"env": "prod"}, "raw_config": text, "force": True, **more}


@pytest.fixture
def api(alice, api_of):
    api = api_of(alice)
    assert api.put(URL, body("old: {}\n"), format="json").status_code == 201
    fleet = Fleet(AT)
    fleet.join(6, env="prod")
    fleet.answer(fleet.agents)
    return api


def test_an_edit_with_stages_answers_with_its_rollout(api):
    made = api.put(URL, body("new: {}\n", release=CANARY), format="json")
    assert made.status_code == 200
    assert made.data["revision"] == 2
    assert made.data["rollout"]["state"] == "running"
    assert (made.data["rollout"]["stage"], made.data["rollout"]["stages"]) == (1, 2)
    shown = api.get(f"/api/v1/rollouts/{made.data['rollout']['id']}").data
    assert (shown["configuration"], shown["revision"]) == ("c", 2)
    assert [stage["agents"] for stage in shown["progress"]] == [2, 4]
    assert [stage["counts"]["to_come"] for stage in shown["progress"]] == [0, 4]
    agents = api.get(f"/api/v1/rollouts/{shown['id']}/agents?stage=1").data
    assert agents["count"] == 2
    assert {each["state"] for each in agents["results"]} == {"waiting"}
    assert api.get(f"/api/v1/rollouts/{shown['id']}/agents?state=to_come&limit=1").data["count"] == 4


def test_a_program_that_knows_nothing_of_rollouts_keeps_the_policy(api):
    assert api.patch(URL, {"rollout_policy": CANARY}, format="json").data["rollout_policy"] == CANARY
    answer = api.put(URL, body("new: {}\n"), format="json")
    assert answer.status_code == 200
    assert answer.data["rollout"]["stages"] == 2
    assert answer.data["rollout_policy"] == CANARY
    again = api.put(URL, body("newer: {}\n"), format="json")
    assert again.status_code == 409
    assert again.data["code"] == "rollout-running"
    assert api.get(URL).data["revision"] == 2
    assert api.put(URL, body("newer: {}\n", replace_rollout=True), format="json").data["revision"] == 3
    assert (
        api.put(URL, body("urgent: {}\n", replace_rollout=True, release="at_once"), format="json").data["rollout"]
        is None
    )


def test_what_is_read_can_be_sent_back(api):
    api.put(URL, body("new: {}\n", release=CANARY), format="json")
    read = dict(api.get(URL).data)
    assert api.put(URL, read, format="json").status_code == 200


def test_acts(api):
    number = api.put(URL, body("new: {}\n", release=CANARY), format="json").data["rollout"]["id"]
    url = f"/api/v1/rollouts/{number}"
    paused = api.post(f"{url}/pause", {"reason": "lunch"}, format="json")
    assert paused.data["state"] == "paused"
    assert paused.data["reasons"] == [{"code": "rollout-reason", "message": "Reason given: lunch"}]
    assert api.post(f"{url}/pause", {}, format="json").status_code == 409
    assert api.post(f"{url}/resume", {}, format="json").data["state"] == "running"
    assert api.post(f"{url}/approve", {}, format="json").status_code == 409
    assert api.post(f"{url}/roll-back", {"reason": "no"}, format="json").data["state"] == "rolled_back"
    assert api.post(f"{url}/abort", {}, format="json").status_code == 409
    assert [step["kind"] for step in api.get(f"{url}/steps").data["results"]] == [
        "started", "stage_began", "paused", "resumed", "rolled_back",
    ]  # fmt: skip
    assert api.get(URL).data["revision"] == 1
    assert api.get("/api/v1/rollouts?state=rolled_back&name=c").data["count"] == 1
    assert api.get("/api/v1/rollouts?state=odd").status_code == 400


def test_who_may(api, bob, charlie, api_of):
    number = api.put(URL, body("new: {}\n", release=CANARY), format="json").data["rollout"]["id"]
    viewer, nobody = api_of(bob), api_of(charlie)
    assert viewer.get(f"/api/v1/rollouts/{number}").status_code == 200
    for act in ("pause", "resume", "abort", "roll_back", "approve"):
        assert viewer.post(f"/api/v1/rollouts/{number}/{act}", {}, format="json").status_code == 403
    assert nobody.get("/api/v1/rollouts").status_code == 403
    assert api.get("/api/v1/rollouts/999999").status_code == 404
    assert Rollout.objects.get(pk=number).state == "running"


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ({"stages": [{"percent": 0}]}, "rollout-stage-size"),
        ({"stages": [{"percent": 5, "count": 1}]}, "rollout-stage"),
        ({"stages": [{"percent": 50}, {"percent": 20}]}, "rollout-stages-grow"),
        ({"stages": [{"percent": 100}, {"count": 2}]}, "rollout-stages-end"),
        ({"stages": "5%"}, "rollout-stages"),
        ({"stages": [{"selector": {"matchExpressions": 3}}]}, "match-expressions-not-a-list"),
        ({"gate": {"applied_percent": 101}}, "rollout-gate-number"),
        ({"gate": {"appied_percent": 1}}, "rollout-gate"),
        ({"gate": 5}, "rollout-gate"),
        ({"window": {"from": "25:00", "to": "04:00"}}, "rollout-window"),
        ({"window": {"from": "22:00", "to": "04:00", "timezone": "../etc"}}, "rollout-window"),
        ({"window": {"from": "22:00", "to": "04:00", "days": [[]]}}, "rollout-window"),
        ({"on_gate_failure": []}, "rollout-on-failure"),
        ({"approval": 1}, "rollout-approval"),
        ({"max_in_flight": -1}, "rollout-in-flight"),
        ({"stage": []}, "rollout-policy-field"),
        ("sometimes", "rollout-policy"),
        (7, "rollout-policy"),
        ([], "rollout-policy"),
        (None, "null"),
    ],
)
def test_what_is_no_policy_is_refused_and_changes_nothing(api, policy, code):
    answer = api.put(URL, body("new: {}\n", release=policy), format="json")
    assert answer.status_code == 400, answer.data
    assert code in str(answer.data)
    assert api.get(URL).data["revision"] == 1
    assert not Rollout.objects.exists()


def test_from_a_script(api, capsys):
    number = api.put(URL, body("new: {}\n", release=CANARY), format="json").data["rollout"]["id"]
    call_command("control_rollouts", "list")
    assert f"{number}\tc r2\trunning\tstage 1 of 2" in capsys.readouterr().out
    call_command("control_rollouts", "pause", str(number), reason="a\nb")
    assert api.get(f"/api/v1/rollouts/{number}").data["reasons"][0]["message"] == "Reason given: a b"
    for refused in (["pause", str(number)], ["pause"], ["approve", str(number)], ["abort", "999999"]):
        with pytest.raises(CommandError):
            call_command("control_rollouts", *refused)
    call_command("control_rollouts", "roll_back", str(number))
    assert Rollout.objects.get(pk=number).state == "rolled_back"
