"""Enrolment over REST: tokens, what agents' JSON says, approving."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Group
from rest_framework.test import APIClient

from accounts.models import AuditEntry, User
from accounts.services import OPERATOR, ensure_roles
from agents.models import Agent, AgentEvent, Approval
from enrolment.models import EnrolmentToken
from tests.enrolment.conftest import Issue

pytestmark = pytest.mark.django_db
URL = "/api/v1/enrolment-tokens"
ApiOf = Callable[[User | None], APIClient]


@pytest.fixture
def api(api_of: ApiOf, alice: User) -> APIClient:
    """The administrator's."""
    return api_of(alice)


class TestTokens:
    def test_its_text_is_in_one_answer(self, api: APIClient) -> None:
        body = {"name": "edge", "labels": {"env": "prod"}, "max_uses": 2, "expires": "30d", "approval_rule": "ask"}
        made = api.post(URL, body, format="json")
        assert made.status_code == 201
        text = made.json()["token"]
        assert text.startswith("oet1.")
        for answer in (api.get(URL), api.get(f"{URL}/{made.json()['id']}")):
            assert answer.status_code == 200
            assert text not in answer.content.decode()
        shown = api.get(f"{URL}/{made.json()['id']}").json()
        assert (shown["labels"], shown["max_uses"], shown["uses"], shown["active"]) == ({"env": "prod"}, 2, 0, True)
        assert (shown["approval_rule"], shown["created_by"]) == ("ask", "alice")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "name"),
            ({"name": 5}, "name"),
            ({"name": "<"}, "name"),
            ({"name": "a", "labels": {"a b": "c"}}, "labels"),
            ({"name": "a", "labels": {"a": 1}}, "labels"),
            ({"name": "a", "labels": []}, "labels"),
            ({"name": "a", "max_uses": 0}, "max_uses"),
            ({"name": "a", "max_uses": "5"}, "max_uses"),
            ({"name": "a", "expires": "yesterday"}, "expires"),
            ({"name": "a", "expires": "9999d"}, "expires"),
            ({"name": "a", "approval_rule": "x"}, "approval_rule"),
            ({"name": "a", "uses": 3}, "uses"),
        ],
    )
    def test_what_is_refused(self, api: APIClient, body: dict[str, Any], field: str) -> None:
        answer = api.post(URL, body, format="json")
        assert answer.status_code == 400, answer.content
        assert field in answer.content.decode()
        assert not EnrolmentToken.objects.exists()

    def test_a_name_that_is_taken_is_a_conflict(self, api: APIClient) -> None:
        assert api.post(URL, {"name": "edge"}, format="json").status_code == 201
        again = api.post(URL, {"name": "edge"}, format="json")
        assert (again.status_code, again.json()["code"]) == (409, "enrolment-token-name-taken")

    def test_revoking(self, api: APIClient, issue: Issue) -> None:
        token = issue()[0]
        assert api.post(f"{URL}/{token.pk}/revoke", {"reason": ""}, format="json").status_code == 400
        answer = api.post(f"{URL}/{token.pk}/revoke", {"reason": "lost"}, format="json")
        assert (answer.status_code, answer.json()["active"], answer.json()["revoke_reason"]) == (200, False, "lost")
        assert api.post(f"{URL}/{token.pk}/revoke", {"reason": "lost"}, format="json").status_code == 409
        assert api.post(f"{URL}/999999/revoke", {"reason": "lost"}, format="json").status_code == 404

    def test_filters(self, api: APIClient, issue: Issue) -> None:
        gone = issue("gone")[0]
        issue("there")
        api.post(f"{URL}/{gone.pk}/revoke", {"reason": "r"}, format="json")
        names = lambda query: [row["name"] for row in api.get(f"{URL}?{query}").json()["results"]]  # noqa: E731
        assert names("") == ["there", "gone"]
        assert names("active=true") == ["there"]
        assert names("active=false") == ["gone"]
        assert names("name=gone") == ["gone"]
        assert api.get(f"{URL}?active=perhaps").status_code == 400

    def test_an_operator_makes_them_and_a_viewer_looks(self, api_of: ApiOf, bob: User, charlie: User) -> None:
        ensure_roles()
        olga = User.objects.create_user("olga")
        olga.groups.add(Group.objects.get(name=OPERATOR))
        assert api_of(olga).post(URL, {"name": "edge"}, format="json").status_code == 201
        assert api_of(bob).get(URL).json()["count"] == 1
        assert api_of(bob).post(URL, {"name": "more"}, format="json").status_code == 403
        assert api_of(charlie).get(URL).status_code == 403


class TestAgents:
    def test_what_an_agent_says_of_it(self, api: APIClient, report: Callable[..., Agent]) -> None:
        agent, other = report(), report("web-2")
        Agent.objects.filter(pk=agent.pk).update(approval=Approval.PENDING, enrolled_by="edge")
        shown = api.get(f"/api/v1/agents/{agent.instance_uid}").json()
        assert (shown["approval"], shown["enrolled_by"]) == ("pending", "edge")
        uids = lambda query: [row["instance_uid"] for row in api.get(f"/api/v1/agents?{query}").json()["results"]]  # noqa: E731
        assert uids("approval=pending") == uids("enrolled_by=edge") == [str(agent.instance_uid)]
        assert uids("approval=approved") == [str(other.instance_uid)]
        assert api.get("/api/v1/agents?approval=x").status_code == 400
        assert api.get("/api/v1/agents/summary").json()["pending"] == 1

    def test_deciding(self, api: APIClient, report: Callable[..., Agent]) -> None:
        agent = report()
        url = f"/api/v1/agents/{agent.instance_uid}"
        assert api.post(f"{url}/approve").status_code == 409
        Agent.objects.update(approval=Approval.PENDING)
        assert api.post(f"{url}/reject", {"x": 1}, format="json").status_code == 400
        assert api.post(f"{url}/reject").json() == {"instance_uid": str(agent.instance_uid), "approval": "rejected"}
        assert api.post(f"{url}/approve").json()["approval"] == "approved"
        assert api.post("/api/v1/agents/nonsense/approve").status_code == 404
        assert api.post(f"/api/v1/agents/{'0' * 32}/approve").status_code == 404

    def test_deciding_about_many(self, api: APIClient, report: Callable[..., Agent]) -> None:
        waiting, rejected, taking_part = report(), report("web-2"), report("web-3")
        Agent.objects.filter(pk=waiting.pk).update(approval=Approval.PENDING)
        Agent.objects.filter(pk=rejected.pk).update(approval=Approval.REJECTED)
        unknown = "0" * 31 + "1"
        uids = [str(agent.instance_uid) for agent in (waiting, rejected, taking_part)]
        refused = api.post("/api/v1/agents/reject", {"instance_uids": [*uids, unknown]}, format="json").json()
        assert (refused["asked"], refused["skipped"]) == (1, 3)
        reasons = {each["instance_uid"]: each["reason"] for each in refused["skipped_agents"]}
        assert set(reasons) == {*uids[1:], str(UUID(unknown))}
        assert "does not wait for approval" in reasons[uids[2]]
        approved = api.post("/api/v1/agents/approve", {"match_all": True}, format="json").json()
        assert (approved["asked"], approved["skipped"]) == (2, 1)
        assert "approved already" in approved["skipped_agents"][0]["reason"]
        assert set(Agent.objects.values_list("approval", flat=True)) == {Approval.APPROVED}
        lines = AgentEvent.objects.filter(agent=waiting, kind="approval").order_by("id")
        assert [line.data["approval"] for line in lines] == ["rejected", "approved"]
        entry = AuditEntry.objects.get(verb="agent.approve")
        assert {each["instance_uid"] for each in entry.data["objects"]} == {uids[0], uids[1]}

    @pytest.mark.parametrize(
        "body",
        [{}, {"match_all": False}, {"match_all": True, "filter": {"label": "a=b"}}, {"filter": {"x": "y"}}, {"x": 1}],
    )
    def test_whom_is_said_in_one_way(self, api: APIClient, report: Callable[..., Agent], body: dict[str, Any]) -> None:
        report()
        Agent.objects.update(approval=Approval.PENDING)
        for act in ("approve", "reject"):
            assert api.post(f"/api/v1/agents/{act}", body, format="json").status_code == 400
            assert api.get(f"/api/v1/agents/{act}").status_code == 405
        assert Agent.objects.get().approval == Approval.PENDING
        assert not AuditEntry.objects.filter(verb__startswith="agent.").exists()

    def test_many_are_decided_within_a_filter_and_by_right(
        self, api: APIClient, api_of: ApiOf, report: Callable[..., Agent], bob: User
    ) -> None:
        for number in range(3):
            report(f"web-{number}")
        Agent.objects.update(approval=Approval.PENDING)
        assert api_of(bob).post("/api/v1/agents/approve", {"match_all": True}, format="json").status_code == 403
        answer = api.post("/api/v1/agents/approve", {"filter": {"search": "web-1"}}, format="json")
        assert answer.json() == {"asked": 1, "skipped": 0, "skipped_agents": []}
        assert Agent.objects.filter(approval=Approval.PENDING).count() == 2
