"""What outside programs rely on of rollouts, pins and pauses, line by line of the contract, over HTTP."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import AuditEntry
from agents.models import AgentEvent
from agents.reports import RemoteConfigStatuses
from rollouts.models import Rollout
from rollouts.services.ticking import tick_all
from tests.rollouts.fleet import Fleet

pytestmark = pytest.mark.django_db(transaction=True)
AGENTS = 8
CONFIGURATION = "/api/v1/configurations/prod-config"
COUNTS = ["done", "pending", "offline", "failed", "incapable"]
GATE = {
    "applied_percent": 100, "failed_max": 0, "healthy_percent": 95, "disconnected_percent_max": 20, "dwell_seconds": 60,
    "timeout_seconds": 1800,
}  # fmt: skip
REQUEST = {
    "stages": [{"name": "canary", "percent": 50, "gate": GATE}, {"percent": 100}], "max_in_flight": 50,
    "on_gate_failure": "pause",
}  # fmt: skip


def closed_window() -> dict[str, Any]:
    """One that opens in some hours, for one."""
    opens = timezone.now() + timedelta(hours=12)
    return {"from": f"{opens:%H:%M}", "to": f"{opens + timedelta(hours=1):%H:%M}", "timezone": "UTC"}


class Portal:
    """A program's view of it: every call by its URL, answers as they are."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def __call__(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        answer = self.client.generic(
            method, path, b"" if body is None else json.dumps(body), content_type="application/json"
        )
        assert answer.status_code == status, answer.content
        return answer.json() if answer.content else None


@pytest.fixture
def portal(alice: Any, api_of: Any) -> Portal:
    return Portal(api_of(alice))


@pytest.fixture
def fleet(portal: Portal) -> Fleet:
    """Agents that run revision 1; revision 2 has been aborted before it came to anybody."""
    portal("POST", "/api/v1/configurations", edit("a"), 201)
    fleet = Fleet(timezone.now())
    fleet.join(AGENTS, env="prod")
    fleet.answer(fleet.agents)
    begun = portal("PATCH", CONFIGURATION, {**edit("b"), "release": {"window": closed_window()}})["rollout"]["id"]
    portal("POST", f"/api/v1/rollouts/{begun}/abort")
    return fleet


def edit(name: str) -> dict[str, Any]:
    """A configuration with one receiver of this name."""
    return {
        "name": "prod-config",
        "selector": {"env": "prod"},
        "raw_config": f"receivers: {{otlp/{name}: {{protocols: {{http: }}}}}}\nexporters: {{debug: }}\n"
        f"service: {{pipelines: {{traces: {{receivers: [otlp/{name}], exporters: [debug]}}}}}}\n",
    }


def sums(rollout: dict[str, Any]) -> list[int]:
    """Of each stage all five counts together, which are its agents."""
    found = [sum(stage["counts"][name] for name in COUNTS) for stage in rollout["progress"]]
    assert found == [stage["agents"] for stage in rollout["progress"]]
    return found


class TestRolloutsOfAConfiguration:
    def test_a_revision_is_rolled_out_in_stages(self, portal, fleet):
        made = portal("POST", f"{CONFIGURATION}/rollouts", {"revision": 2, **REQUEST}, 201)
        assert (made["state"], made["stage"], made["stage_name"], made["configuration"]) == (
            "running", 1, "canary", "prod-config",
        )  # fmt: skip
        policy = made["policy"]
        assert policy["stages"] == REQUEST["stages"]
        assert (policy["max_in_flight"], policy["on_gate_failure"]) == (50, "pause")
        assert portal("GET", f"{CONFIGURATION}/rollouts")["results"][0]["id"] == made["id"]
        assert sum(sums(made)) == AGENTS
        # What revision 2 says, under a number of its own, since a revision is released once.
        now = portal("GET", f"{CONFIGURATION}/revisions/{made['revision']}")
        assert now["hash"] == portal("GET", f"{CONFIGURATION}/revisions/2")["hash"]
        assert now["note"] == "Revision 2 rolled out again"

    def test_they_are_listed_newest_first_in_pages_and_by_state(self, portal, fleet):
        portal("POST", f"{CONFIGURATION}/rollouts", REQUEST, 201)
        page = portal("GET", f"{CONFIGURATION}/rollouts?page_size=1")
        assert page["count"] == 2
        assert [each["state"] for each in page["results"]] == ["running"]
        assert [each["state"] for each in portal("GET", f"{CONFIGURATION}/rollouts")["results"]] == [
            "running",
            "aborted",
        ]
        assert portal("GET", f"{CONFIGURATION}/rollouts?state=aborted")["count"] == 1
        portal("GET", "/api/v1/configurations/no/rollouts", status=404)
        portal("POST", "/api/v1/configurations/no/rollouts", {}, 404)

    def test_without_a_word_the_newest_revision_goes_out_to_everybody_as_one_stage(self, portal, fleet):
        made = portal("POST", f"{CONFIGURATION}/rollouts", {}, 201)
        assert [stage["agents"] for stage in made["progress"]] == [AGENTS]
        fleet.wake()
        fleet.answer(fleet.agents)
        tick_all(timezone.now())
        done = portal("GET", f"/api/v1/rollouts/{made['id']}")
        assert (done["state"], done["progress"][0]["counts"]["done"]) == ("completed", AGENTS)
        assert "otlp/b" in portal("GET", CONFIGURATION)["raw_config"]

    def test_the_policy_of_the_configuration_holds_but_for_what_is_said(self, portal, fleet):
        portal("PATCH", CONFIGURATION, {"rollout_policy": {"stages": [{"count": 2}], "max_in_flight": 7}})
        made = portal("POST", f"{CONFIGURATION}/rollouts", {"approval": True}, 201)
        assert (made["state"], made["policy"]["max_in_flight"]) == ("awaiting_approval", 7)
        assert [stage["agents"] for stage in made["progress"]] == [2, AGENTS - 2]
        portal("POST", f"/api/v1/rollouts/{made['id']}/approve", status=403)

    def test_what_cannot_be_rolled_out_is_refused_and_changes_nothing(self, portal, fleet):
        everybody = portal("POST", f"{CONFIGURATION}/rollouts", {"revision": 1}, 409)
        assert everybody["code"] == "released-to-everybody"
        assert portal("POST", f"{CONFIGURATION}/rollouts", {"revision": 9}, 404)["code"] == "unknown-revision"
        for wrong in (
            {"revision": 0}, {"revision": "2"}, {"stages": [{"percent": 0}]}, {"stages": [{"percent": 5, "name": "a:b"}]},
            {"on_gate_failure": "explode"}, {"odd": 1}, {"stages": 5},
            {"on_failure": "pause", "on_gate_failure": "pause"},
            {"stages": [{"percent": 5, "gate": {"max_failed": 1, "failed_max": 1}}]},
        ):  # fmt: skip
            portal("POST", f"{CONFIGURATION}/rollouts", wrong, 400)
        assert portal("GET", f"{CONFIGURATION}/revisions")["count"] == 2
        running = portal("POST", f"{CONFIGURATION}/rollouts", REQUEST, 201)
        assert portal("POST", f"{CONFIGURATION}/rollouts", REQUEST, 409)["code"] == "rollout-running"
        another = portal("POST", f"{CONFIGURATION}/rollouts", {**REQUEST, "replace_rollout": True}, 201)
        assert portal("GET", f"/api/v1/rollouts/{running['id']}")["state"] == "replaced"
        assert another["state"] == "running"

    def test_whoever_only_sees_starts_nothing(self, portal, fleet, bob, charlie, api_of):
        assert api_of(bob).get(f"{CONFIGURATION}/rollouts").status_code == 200
        assert api_of(bob).post(f"{CONFIGURATION}/rollouts", {}, format="json").status_code == 403
        assert api_of(charlie).get(f"{CONFIGURATION}/rollouts").status_code == 403

    def test_a_stage_has_percent_count_or_selector(self, portal, fleet):
        fleet.join(1, env="prod", region="eu")
        stages = [{"name": "europe", "selector": {"region": "eu"}}, {"count": 3}, {"percent": 100}]
        made = portal("POST", f"{CONFIGURATION}/rollouts", {"stages": stages}, 201)
        assert [(stage["name"], stage["audience"]) for stage in made["progress"]] == [
            ("europe", {"name": "europe", "selector": {"region": "eu"}}),
            ("", {"count": 3}), ("", {"percent": 100}),
        ]  # fmt: skip
        assert made["progress"][0]["agents"] == 1

    def test_names_that_were_said_formerly_are_read_and_the_present_ones_kept(self, portal, fleet):
        former = {"stages": [{"percent": 50, "gate": {"max_failed": 1}}], "on_failure": "roll_back"}
        kept = portal("PATCH", CONFIGURATION, {"rollout_policy": former})["rollout_policy"]
        assert kept == {"stages": [{"percent": 50, "gate": {"failed_max": 1}}], "on_gate_failure": "roll_back"}
        made = portal("POST", f"{CONFIGURATION}/rollouts", former, 201)
        assert made["policy"]["stages"][0]["gate"]["failed_max"] == 1
        assert made["policy"]["on_gate_failure"] == "roll_back"


class TestRolloutsOfEveryKind:
    def begun(self, portal: Portal, **more: Any) -> str:
        return f"/api/v1/rollouts/{portal('POST', f'{CONFIGURATION}/rollouts', {**REQUEST, **more}, 201)['id']}"

    def test_five_counts_of_a_stage_are_all_its_agents(self, portal, fleet):
        url = self.begun(portal)
        one = portal("GET", url)
        # Of the canaries one applies it, one fails, one leaves, the others wait.
        canaries = portal("GET", f"{url}/agents?stage=1&state=pending")
        assert canaries["count"] == one["progress"][0]["counts"]["pending"] == one["progress"][0]["agents"] > 3
        uids = [each["instance_uid"] for each in canaries["results"]]
        applied, failed, gone = (next(each for each in fleet.agents if str(each.uid) == uid) for uid in uids[:3])
        late = next(each for each in fleet.agents if str(each.uid) not in uids)
        fleet.wake()
        fleet.answer([applied])
        fleet.answer([failed], RemoteConfigStatuses.FAILED, error="no")
        fleet.leave(gone)
        fleet.leave(late)
        shown = portal("GET", url)
        assert sum(sums(shown)) == AGENTS
        canary, rest = (stage["counts"] for stage in shown["progress"])
        assert [canary[name] for name in COUNTS] == [1, len(uids) - 3, 1, 1, 0]
        assert (canary["lost"], canary["to_come"]) == (1, 0)
        assert [rest[name] for name in COUNTS] == [0, AGENTS - len(uids) - 1, 1, 0, 0]
        assert rest["to_come"] == AGENTS - len(uids)
        for stage, counts in ((1, canary), (2, rest)):
            for name in COUNTS:
                found = portal("GET", f"{url}/agents?stage={stage}&state={name}")
                assert found["count"] == counts[name], (stage, name)
                assert {each["counts_as"] for each in found["results"]} <= {name}

    def test_whom_something_stronger_has_is_no_agent_of_the_stage(self, portal, fleet):
        stronger = {**edit("c"), "name": "stronger", "priority": 9, "selector": {"host.name": "agent-000"}}
        portal("POST", "/api/v1/configurations", stronger, 201)
        shown = portal("GET", self.begun(portal, stages=[{"percent": 100}], max_in_flight=0))
        assert (sums(shown), shown["progress"][0]["passed_over"]) == ([AGENTS - 1], 1)

    def test_each_act_and_the_state_after_it(self, portal, fleet):
        url = self.begun(portal)
        assert portal("POST", f"{url}/pause", {"reason": "lunch"})["state"] == "paused"
        assert portal("POST", f"{url}/resume")["state"] == "running"
        portal("POST", f"{url}/start", status=409)
        portal("POST", f"{url}/approve", status=409)
        assert portal("POST", f"{url}/roll-back", {"reason": "no"})["state"] == "rolled_back"
        assert portal("POST", f"{self.begun(portal)}/roll_back")["state"] == "rolled_back"
        assert portal("POST", f"{self.begun(portal)}/abort")["state"] == "aborted"
        assert portal("GET", "/api/v1/rollouts?state=rolled_back,aborted")["count"] == 4
        assert {each["state"] for each in portal("GET", "/api/v1/rollouts?state=aborted")["results"]} == {"aborted"}

    def test_somebody_else_approves(self, portal, fleet, db, api_of, django_user_model):
        url = self.begun(portal, approval=True)
        assert portal("GET", url)["state"] == "awaiting_approval"
        for state in ("awaiting_approval", "pending_approval"):
            assert portal("GET", f"/api/v1/rollouts?state={state}")["count"] == 1
        other = django_user_model.objects.create_user("dora", is_superuser=True)
        assert Portal(api_of(other))("POST", f"{url}/approve")["state"] == "running"

    def test_one_whose_window_is_closed_is_scheduled_and_can_be_started(self, portal, fleet):
        url = self.begun(portal, window=closed_window(), stages=[{"name": "canary", "percent": 50}])
        assert portal("GET", url)["state"] == "scheduled"
        assert [each["state"] for each in portal("GET", "/api/v1/rollouts?state=scheduled")["results"]] == ["scheduled"]
        assert portal("GET", "/api/v1/rollouts?state=running")["count"] == 0
        begun = portal("POST", f"{url}/start", {"reason": "the incident"})
        assert (begun["state"], begun["stage"], begun["stage_name"]) == ("running", 1, "canary")
        portal("POST", f"{url}/start", status=409)
        assert AuditEntry.objects.filter(verb="rollout.begun_now", data__stage=0).count() == 1
        steps = portal("GET", f"{url}/steps")["results"]
        assert ("begun_now", "Reason given: the incident") in [
            (step["kind"], "".join(reason["message"] for reason in step["reasons"])) for step in steps
        ]
        fleet.wake()
        fleet.answer(fleet.agents)
        tick_all(timezone.now())
        # The gate has passed: what it waits for is the window again.
        assert portal("GET", url)["state"] == "scheduled"
        assert portal("POST", f"{url}/start")["stage"] == 2
        fleet.wake()
        fleet.answer(fleet.agents)
        tick_all(timezone.now())
        assert portal("GET", url)["state"] == "completed"
        assert portal("GET", "/api/v1/rollouts?state=finished")["count"] == 1

    def test_a_freeze_is_not_started_over(self, portal, fleet):
        freeze = portal("POST", "/api/v1/freezes", {"match_all": True, "reason": "audit"}, 201)
        url = self.begun(portal)
        assert portal("GET", url)["state"] == "scheduled"
        assert portal("POST", f"{url}/start", status=409)["code"] == "rollout-frozen"
        portal("POST", f"/api/v1/freezes/{freeze['id']}/end")
        assert portal("POST", f"{url}/start")["state"] == "running"

    def test_the_same_verbs_in_a_shell(self, portal, fleet, capsys):
        number = self.begun(portal, window=closed_window()).rsplit("/", 1)[1]
        call_command("control_rollouts", "list")
        assert f"{number}\tprod-config r3\tscheduled\tstage 0 of 2" in capsys.readouterr().out
        call_command("control_rollouts", "start", number, reason="now")
        assert capsys.readouterr().out.endswith("\trunning\n")
        call_command("control_rollouts", "roll-back", number)
        assert Rollout.objects.get(pk=number).state == "rolled_back"


class TestPins:
    def test_put_shows_replaces_and_ends(self, portal, fleet):
        url = f"/api/v1/agents/{fleet.agents[0].uid}/pin"
        portal("GET", url, status=404)
        portal("DELETE", url, status=404)
        ends = (timezone.now() + timedelta(hours=1)).isoformat()
        body = {"configuration": "prod-config", "revision": 1, "reason": "an incident", "expires_at": ends}
        made = portal("PUT", url, body)
        assert {name: made[name] for name in ("configuration", "revision", "reason")} == {
            "configuration": "prod-config", "revision": 1, "reason": "an incident",
        }  # fmt: skip
        lines = AgentEvent.objects.filter(kind="pinned")
        assert portal("PUT", url, body) == made
        assert lines.count() == 1
        assert portal("GET", url) == made
        again = portal("PUT", url, {"configuration": "prod-config", "reason": "longer"})
        assert (again["revision"], again["expires_at"], again["reason"]) == (None, None, "longer")
        assert portal("POST", url, body)["revision"] == 1
        portal("DELETE", url, status=204)
        portal("GET", url, status=404)
        portal("PUT", url, {"configuration": "prod-config"}, 400)
        portal("PUT", f"/api/v1/agents/{'0' * 8}-0000-4000-8000-{'0' * 12}/pin", body, 404)


class TestPauses:
    def test_put_shows_replaces_and_ends(self, portal, fleet):
        url = f"/api/v1/agents/{fleet.agents[0].uid}/pause"
        portal("GET", url, status=404)
        portal("DELETE", url, status=404)
        ends = (timezone.now() + timedelta(hours=1)).isoformat()
        made = portal("PUT", url, {"reason": "somebody works on it", "expires_at": ends})
        assert (made["reason"], made["active"], made["instance_uid"]) == (
            "somebody works on it", True, str(fleet.agents[0].uid),
        )  # fmt: skip
        assert portal("PUT", url, {"reason": "somebody works on it", "expires_at": ends}) == made
        assert portal("GET", url) == made
        other = portal("PUT", url, {"reason": "still"})
        assert (other["reason"], other["expires_at"]) == ("still", None)
        assert other["id"] != made["id"]
        assert portal("GET", "/api/v1/freezes?active=true")["count"] == 1
        assert portal("PUT", url, {"reason": ""}, 400)["code"] == "reason-missing"
        assert portal("GET", url) == other
        assert portal("POST", url, {"reason": "again"}, 409)["code"] == "agent-paused-already"
        portal("DELETE", url, status=204)
        portal("GET", url, status=404)

    def test_nothing_slips_through_while_one_pause_takes_the_place_of_another(self, portal, fleet):
        agent = fleet.agents[0]
        url = f"/api/v1/agents/{agent.uid}/pause"
        portal("PUT", url, {"reason": "one"})
        portal("POST", f"{CONFIGURATION}/rollouts", {}, 201)
        portal("PUT", url, {"reason": "another"})
        fleet.wake()
        assert ["otlp/b" in each.latest for each in fleet.agents] == [False, *[True] * (AGENTS - 1)]
        portal("DELETE", url, status=204)
        fleet.wake()
        assert "otlp/b" in agent.latest


class TestDrafts:
    def test_get_post_patch_delete_and_publishing_starts_a_rollout(self, portal, fleet):
        drafts = f"{CONFIGURATION}/drafts"
        made = portal("POST", drafts, {"raw_config": edit("c")["raw_config"]}, 201)
        url = f"{drafts}/{made['id']}"
        assert [each["id"] for each in portal("GET", drafts)["results"]] == [made["id"]]
        changed = portal("PATCH", url, {"edition": made["edition"], "note": "why"})
        assert portal("GET", url)["note"] == "why"
        published = portal("POST", f"{url}/publish", {"edition": changed["edition"]})
        rollout = portal("GET", f"/api/v1/rollouts/{published['rollout']['id']}")
        assert (rollout["state"], rollout["revision"], sums(rollout)) == ("running", published["revision"], [AGENTS])
        portal("GET", url, status=404)
        other = portal("POST", drafts, {"note": "no"}, 201)
        portal("DELETE", f"{drafts}/{other['id']}", status=204)

    def test_by_the_policy_or_as_it_says(self, portal, fleet):
        for release, stages in (({"stages": [{"count": 1}]}, 2), ("at_once", None)):
            made = portal("POST", f"{CONFIGURATION}/drafts", {"raw_config": edit(f"d{stages}")["raw_config"]}, 201)
            body = {"edition": made["edition"], "release": release, "replace_rollout": True}
            done = portal("POST", f"{CONFIGURATION}/drafts/{made['id']}/publish", body)
            assert (done["rollout"] and done["rollout"]["stages"]) == stages
