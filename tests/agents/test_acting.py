"""Actions on many agents as jobs: chunks, what becomes of each agent, cancelling, bounds, rights."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEntry
from accounts.services import ensure_roles
from agents.instance_uids import new_instance_uid
from agents.models import Agent, AgentCommand, AgentEvent, AgentPresence, ReportedState
from agents.reports import AgentCapabilities
from agents.services import acting, actions, editing
from agents.services.actions import action_named
from configurations.services import pinning
from foundation.messages import Message
from jobs.models import Job
from jobs.services.starting import cancel_job
from rollouts.models import Freeze
from tests.agents.admin_pages import LIST, publish
from tests.jobs.working import one_connection, work

__all__ = ["one_connection"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("one_connection", "counted_anew")]
URL = "/api/v1/agents:act"


def fleet(number: int, **labels: str) -> list[int]:
    """So many agents, without reports."""
    at = timezone.now()
    uids = [new_instance_uid() for _ in range(number)]
    rows = Agent.objects.bulk_create(
        Agent(instance_uid=uid, name=f"a{place}", labels=labels, operator_labels={}, first_seen_at=at)
        for place, uid in enumerate(uids)
    )
    ReportedState.objects.bulk_create(ReportedState(agent=row) for row in rows)
    AgentPresence.objects.bulk_create(AgentPresence(agent=row, last_seen_at=at) for row in rows)
    return [row.pk for row in rows]


def start(name: str, keys: list[int], by: Any, **parameters: Any) -> Job:
    action = action_named(name)
    assert action is not None
    return acting.start_acting(action, keys, by=by, parameters=parameters)


def stands(job: Job) -> tuple[str, int, int, int]:
    job.refresh_from_db()
    return job.state, job.done, job.skipped, job.failed


class TestJobs:
    """Each slice does one chunk, and says what became of each of its agents."""

    def test_labels_of_many_agents_change_chunk_by_chunk(self, alice):
        keys = fleet(250)
        Agent.objects.filter(pk=keys[3]).update(operator_labels={"env": "canary"})
        job = start("relabel", keys, alice, set={"env": "canary"}, remove=[])
        work(1)
        assert stands(job) == ("running", 99, 1, 0)
        assert Agent.objects.filter(operator_labels={"env": "canary"}).count() == 100
        work()
        assert stands(job) == ("done", 249, 1, 0)
        assert Agent.objects.filter(operator_labels={"env": "canary"}).count() == 250
        skipped = job.results.get(outcome="skipped")
        assert str(skipped.said) == "Its labels are like this already."
        assert skipped.item == str(Agent.objects.get(pk=keys[3]).instance_uid)
        assert AuditEntry.objects.get(verb="agent.edit").data["count"] == 249

    def test_of_ten_thousand_agents_each_slice_costs_the_same(self, alice):
        keys = fleet(10_000)
        job = start("relabel", keys, alice, set={"env": "canary"}, remove=[])
        costs = []
        for place in (None, 100, 200, 5_000, 9_700, 9_800):
            if place is not None:
                entries = Job.objects.get().cursor["entries"]
                Job.objects.update(cursor={"place": place, "entries": entries})
            with CaptureQueriesContext(
                connection,
            ) as queries:
                work(1)
            costs.append(len(queries))
        assert stands(job) == ("running", 600, 0, 0)
        assert max(costs[1:]) - min(costs[1:]) <= 2
        assert max(costs) < 60, costs

    def test_cancelled_half_way_what_was_done_stays(self, alice):
        keys = fleet(250)
        job = start("relabel", keys, alice, set={"env": "canary"}, remove=[])
        work(1)
        cancel_job(job.pk, by=alice)
        work()
        assert stands(job)[0] == "cancelled"
        assert Agent.objects.filter(operator_labels={"env": "canary"}).count() == 100

    def test_agents_are_judged_when_their_turn_comes(self, alice, report):
        able, gone = report("able"), report("gone")
        unable = report("unable", capabilities=int(AgentCapabilities.REPORTS_STATUS))
        job = start("restart", [able.pk, unable.pk, gone.pk], alice)
        editing.forget_agent(gone.pk, by=None)
        work()
        assert stands(job) == ("done", 1, 2, 0)
        assert AgentCommand.objects.get().agent_id == able.pk
        said = {result.name or result.item: str(result.said) for result in job.results.filter(outcome="skipped")}
        assert said[f"#{gone.pk}"] == "The agent was forgotten meanwhile."
        assert said[unable.name_and_host()] == "the agent does not accept the restart command"

    def test_an_agent_with_which_something_is_wrong_costs_only_itself(self, alice, monkeypatch):
        keys = fleet(5)
        whole = action_named("relabel")

        def run(agent_ids: Any, by: Any, at: Any, parameters: Any) -> Any:
            outcome = whole.run(agent_ids, by, at, parameters)
            if keys[2] in agent_ids:
                raise ValueError("poison")
            return outcome

        changed = actions.AgentAction("relabel", whole.title, whole.right, run)
        monkeypatch.setitem(actions._actions, "relabel", changed)
        job = start("relabel", keys, alice, set={"a": "b"}, remove=[])
        work()
        assert stands(job) == ("done", 4, 0, 1)
        assert not Agent.objects.get(pk=keys[2]).operator_labels
        assert AgentEvent.objects.filter(kind="labels").count() == 4
        assert "ValueError" in str(job.results.get(outcome="failed").said)

    def test_a_slice_that_is_not_booked_is_undone(self, alice, monkeypatch):
        keys = fleet(3)
        job = start("relabel", keys, alice, set={"a": "b"}, remove=[])

        def lose(*_args: Any) -> None:
            raise ValueError("between the work and its booking")

        monkeypatch.setattr("jobs.services.running._book", lose)
        work(1)
        assert not Agent.objects.filter(operator_labels={"a": "b"}).exists()
        assert not AuditEntry.objects.filter(verb="agent.edit").exists()
        monkeypatch.undo()
        assert stands(job)[0] == "running"

    def test_every_action_runs_as_a_job(self, alice, report, settings):
        settings.OPAMP_AGENT_CREDENTIALS = True
        later = (timezone.now() + timedelta(hours=1)).isoformat()
        given = {"pause": {"reason": "r", "expires_at": later}, "relabel": {"set": {"a": "b"}, "remove": []}}
        names = [action.name for action in actions.available_actions()]
        assert set(names) == {
            "restart", "relabel", "revoke", "allow_enrolment", "forget", "pause", "resume", "approve", "reject",
            "offer_again", "unpin",
        }  # fmt: skip
        publish()
        keys = [report("one", env="prod").pk, report("two", env="prod").pk]
        for name in sorted(names, key=lambda name: name == "forget"):
            if name in {"approve", "reject"}:
                Agent.objects.update(approval="pending")
            if name == "unpin":
                for agent in Agent.objects.all():
                    pinning.pin_agent(agent.pk, configuration="prod", reason="r", by=None, at=timezone.now())
            job = start(name, keys, alice, **given.get(name, {}))
            work()
            assert stands(job) == ("done", 2, 0, 0), (name, [str(result.said) for result in job.results.all()])
        assert not Agent.objects.exists()


class TestAdmin:
    """More than a hundred become a job, after the same questions."""

    def test_many_agents_become_a_job_whose_page_is_shown(self, signed_in):
        fleet(101, env="prod")
        chosen = {"action": "forget", "_selected_action": [Agent.objects.first().pk], "select_across": "1"}
        page = signed_in.post(LIST, chosen).content.decode()
        assert "in the background" in page
        refused = signed_in.post(LIST, {**chosen, "confirmed": "1", "shown_count": "101", "typed_count": "7"})
        assert refused.status_code == 200
        answer = signed_in.post(LIST, {**chosen, "confirmed": "1", "shown_count": "101", "typed_count": "101"})
        job = Job.objects.get()
        assert answer.headers["Location"] == f"/admin/jobs/job/{job.pk}/change/"
        assert Agent.objects.count() == 101
        fleet(1)
        work()
        assert stands(job) == ("done", 101, 0, 0)
        # Whoever came later was not meant.
        assert Agent.objects.count() == 1

    def test_what_was_typed_goes_along(self, signed_in):
        keys = fleet(101)
        chosen = {"action": "pause", "_selected_action": keys, "select_across": "1", "reason": "why", "hours": "1"}
        signed_in.post(LIST, {**chosen, "confirmed": "1", "shown_count": "101", "typed_count": "101"})
        work()
        assert Freeze.objects.filter(reason="why", expires_at__isnull=False).count() == 101


class TestRest:
    """``agents:act``."""

    def test_it_starts_a_job_over_all_that_match(self, api_of, alice):
        api = api_of(alice)
        fleet(3, env="prod")
        fleet(1, env="dev")
        body = {"action": "relabel", "filter": {"label": "env=prod"}, "parameters": {"set": {"tier": "front"}}}
        answer = api.post(URL, {**body, "expected": 3})
        assert answer.status_code == 202, answer.json()
        assert answer.headers["Location"].endswith(f"/api/v1/jobs/{answer.json()['id']}")
        assert (answer.json()["total"], answer.json()["kind"]) == (3, "agents.relabel")
        work()
        job = api.get(answer.headers["Location"]).json()
        assert (job["state"], job["done"], job["percent"]) == ("done", 3, 100)
        assert Agent.objects.filter(operator_labels={"tier": "front"}).count() == 3

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"action": "explode", "match_all": True}, 400),
            ({"action": "restart"}, 400),
            ({"action": "restart", "match_all": True, "parameters": {"x": 1}}, 400),
            ({"action": "relabel", "match_all": True}, 400),
            ({"action": "relabel", "match_all": True, "parameters": {"set": {"": "x"}}}, 400),
            ({"action": "relabel", "match_all": True, "parameters": {"set": "x"}}, 400),
            ({"action": "relabel", "match_all": True, "parameters": {"set": {"a": "b"}, "remove": ["a"]}}, 400),
            ({"action": "relabel", "match_all": True, "parameters": {"remove": [1]}}, 400),
            ({"action": "relabel", "match_all": True, "parameters": {"remove": [[]]}}, 400),
            ({"action": "pause", "match_all": True, "parameters": {}}, 400),
            ({"action": "pause", "match_all": True, "parameters": {"reason": "r", "expires_at": "soon"}}, 400),
            ({"action": "pause", "match_all": True, "parameters": {"reason": "r", "expires_at": "2020-01-01T00:00Z"}}, 400),
            ({"action": "restart", "match_all": True, "expected": 7}, 409),
            ({"action": "restart", "match_all": True, "expected": -1}, 400),
            ({"action": "restart", "filter": {"nonsense": "x"}}, 400),
            ({"action": 5, "match_all": True}, 400),
            ({"action": "revoke", "match_all": True}, 400),
        ],
    )  # fmt: skip
    def test_bad_input_starts_nothing(self, api_of, alice, body, status):
        answer = api_of(alice).post(URL, body)
        assert answer.status_code == status, answer.json()
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert not Job.objects.exists()

    def test_each_action_asks_for_its_own_right(self, api_of, bob):
        ensure_roles()
        assert api_of(bob).post(URL, {"action": "restart", "match_all": True}).status_code == 403
        assert not Job.objects.exists()


def test_titles_are_messages():
    assert all(isinstance(action.title, Message) for action in actions.available_actions())
