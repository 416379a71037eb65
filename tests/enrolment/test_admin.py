"""Enrolment on pages: connecting an agent, the tokens, approving."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import AuditEntry, User
from agents.models import Agent, Approval
from enrolment.models import EnrolmentToken
from enrolment.services.tokens import revoke_enrolment_token
from enrolment.snippets import endpoint_of, snippets
from tests.enrolment.conftest import Issue

pytestmark = pytest.mark.django_db
CONNECT, TOKENS, AGENTS = "/admin/connect/", "/admin/enrolment/enrolmenttoken/", "/admin/agents/agent/"
WISH = {"name": "edge", "label_lines": "env=prod", "max_uses": "5", "lifetime": "7d", "approval_rule": "site"}


def page_of(client: Client) -> str:
    """The address of the form."""
    text = client.get(CONNECT).content.decode()
    found = re.search(r'action="(/admin/connect/\?page=\w+)"', text)
    assert found is not None
    return found[1]


class TestConnecting:
    def test_the_token_is_shown_once_in_settings_that_can_be_read(self, signed_in: Client, alice: User) -> None:
        page = page_of(signed_in)
        answer = signed_in.post(page, WISH)
        text = answer.content.decode()
        token = EnrolmentToken.objects.get()
        assert (token.labels, token.max_uses, token.created_by_name) == ({"env": "prod"}, 5, "alice")
        shown = re.findall(r"oet1\.[0-9a-f]{16}\.[A-Za-z0-9_-]{43}", text)
        assert len(set(shown)) == 1
        assert "no-store" in answer.headers["Cache-Control"]
        assert "ws://testserver/v1/opamp" in text
        again = signed_in.get(page).content.decode()
        assert shown[0] not in again
        assert "edge" in again

    @pytest.mark.parametrize(("approval", "meant"), [(False, "they are approved"), (True, "they wait for approval")])
    def test_what_is_set_for_the_portal_is_said_in_words(
        self, signed_in: Client, issue: Issue, settings: Any, approval: bool, meant: str
    ) -> None:
        settings.ENROLMENT_APPROVAL = approval
        row, _text = issue("edge")
        for page in (CONNECT, f"/admin/enrolment/enrolmenttoken/{row.pk}/change/"):
            text = signed_in.get(page).content.decode()
            assert f"as set for the portal: {meant}" in text
            assert "the server&#x27;s variable ENROLMENT_APPROVAL" in text
            assert "ENROLMENT_APPROVAL says" not in text
        signed_in.cookies["django_language"] = "zh-hans"
        assert f"按门户的设置：{'等待批准' if approval else '直接批准'}" in signed_in.get(page).content.decode()

    def test_loading_it_again_makes_no_second_token(self, signed_in: Client) -> None:
        page = page_of(signed_in)
        for _load in range(2):
            assert signed_in.post(page, WISH).status_code == 200
        assert EnrolmentToken.objects.count() == 1

    def test_it_shows_who_came(self, signed_in: Client, report: Callable[..., Agent]) -> None:
        page = page_of(signed_in)
        signed_in.post(page, WISH)
        assert "None yet" in signed_in.get(page).content.decode()
        agent = report()
        Agent.objects.update(enrolled_by="edge")
        text = signed_in.get(page, headers={"X-Portal-Refresh": "live"}).content.decode()
        assert f'href="/admin/agents/agent/{agent.pk}/change/"' in text
        assert 'id="came"' in text

    def test_mistakes_are_named_and_nothing_is_made(self, signed_in: Client, issue: Issue) -> None:
        issue("taken")
        wrongs: list[dict[str, str]] = [
            {"name": "taken"},
            {"name": ""},
            {"name": "<"},
            {"label_lines": "env"},
            {"max_uses": "0"},
            {"lifetime": "soon"},
            {"approval_rule": "x"},
        ]
        for wrong in wrongs:
            text = signed_in.post(page_of(signed_in), {**WISH, **wrong}).content.decode()
            assert "errorlist" in text, wrong
            assert "oet1." not in text
        assert EnrolmentToken.objects.count() == 1

    def test_who_may_not_make_tokens_sees_the_steps_alone(self, client: Client, bob: User, charlie: User) -> None:
        client.force_login(bob)
        text = client.get(CONNECT).content.decode()
        assert "label_lines" not in text
        assert "opampsupervisor" in text
        assert client.post(CONNECT, WISH).status_code == 403
        client.force_login(charlie)
        assert client.get(CONNECT).status_code == 403

    def test_another_person_does_not_wait_for_it(self, signed_in: Client, bob: User) -> None:
        page = page_of(signed_in)
        signed_in.post(page, WISH)
        other = Client()
        other.force_login(bob)
        assert 'id="came"' not in other.get(page).content.decode()


class TestSnippets:
    TOKEN = "oet1.0123456789abcdef." + "-" * 43

    def test_yaml_is_what_it_seems(self) -> None:
        found = {snippet.name: snippet.text for snippet in snippets("wss://portal.example/v1/opamp", self.TOKEN)}
        supervisor = yaml.safe_load(found["snippet-supervisor"])
        assert supervisor["server"] == {
            "endpoint": "wss://portal.example/v1/opamp",
            "headers": {"Authorization": f"Bearer {self.TOKEN}"},
        }
        assert set(supervisor["capabilities"].values()) == {True}
        helm = yaml.safe_load(found["snippet-helm"])
        assert helm["config"]["extensions"]["opamp"]["server"]["ws"]["headers"]["Authorization"].endswith(self.TOKEN)
        assert helm["extraEnvs"][0]["valueFrom"] == {"fieldRef": {"fieldPath": "spec.nodeName"}}
        assert helm["config"]["service"]["extensions"] == ["health_check", "opamp"]
        assert f"--secret-key {self.TOKEN} --endpoint wss://portal.example/v1/opamp" in found["snippet-simulate"]

    @pytest.mark.parametrize(
        ("public_url", "secure", "endpoint"),
        [
            ("", False, "ws://host:8080/v1/opamp"),
            ("", True, "wss://host:8080/v1/opamp"),
            ("https://portal.example", False, "wss://portal.example/v1/opamp"),
            ("http://portal.example:81/base/", True, "ws://portal.example:81/base/v1/opamp"),
            ("nonsense", False, "ws://host:8080/v1/opamp"),
        ],
    )
    def test_the_address(self, public_url: str, secure: bool, endpoint: str) -> None:
        assert endpoint_of(public_url, secure=secure, host="host:8080") == endpoint

    def test_the_setting_wins_where_there_is_one(self, signed_in: Client, settings: Settings) -> None:
        settings.PUBLIC_URL = "https://portal.example"
        assert "wss://portal.example/v1/opamp" in signed_in.get(CONNECT).content.decode()


class TestTokens:
    def test_the_list_and_its_states(self, signed_in: Client, issue: Issue) -> None:
        active, gone, used = issue("active")[0], issue("gone")[0], issue("used", max_uses=1)[0]
        revoke_enrolment_token(gone.pk, reason="r", by=None, at=timezone.now())
        EnrolmentToken.objects.filter(pk=used.pk).update(uses=1)
        text = signed_in.get(TOKENS).content.decode()
        assert all(word in text for word in ("in force", "revoked", "used up"))
        for state, row in (("active", active), ("revoked", gone), ("used_up", used)):
            found = signed_in.get(f"{TOKENS}?state={state}").context["cl"].queryset
            assert list(found) == [row]
        assert not signed_in.get(f"{TOKENS}?state=expired").context["cl"].queryset.exists()
        assert not signed_in.get(f"{TOKENS}?state=x").context["cl"].queryset.exists()

    def test_one_and_revoking_it(self, signed_in: Client, issue: Issue) -> None:
        token, text = issue(labels={"env": "prod"})
        page = signed_in.get(f"{TOKENS}{token.pk}/change/").content.decode()
        assert "env=prod" in page
        assert text not in page
        assert token.digest not in page
        url = f"{TOKENS}{token.pk}/revoke/"
        assert url in page
        assert signed_in.get(url).status_code == 200
        assert "errorlist" in signed_in.post(url, {"reason": ""}).content.decode()
        assert signed_in.post(url, {"reason": "lost"}).status_code == 302
        assert EnrolmentToken.objects.get().revoke_reason == "lost"
        assert url not in signed_in.get(f"{TOKENS}{token.pk}/change/").content.decode()
        assert "revoked before" in signed_in.post(url, {"reason": "lost"}, follow=True).content.decode()

    def test_they_are_made_where_agents_are_connected(self, signed_in: Client) -> None:
        assert f'action="{CONNECT}?page=' in signed_in.get(f"{TOKENS}add/").content.decode()


class TestApproving:
    @pytest.fixture
    def pending(self, report: Callable[..., Agent]) -> Agent:
        """One that waits."""
        agent = report()
        Agent.objects.update(approval=Approval.PENDING, enrolled_by="edge")
        return agent

    def test_it_is_counted_found_and_marked(self, signed_in: Client, pending: Agent, report: Any) -> None:
        other = report("web-2")
        assert "Agents that await approval: 1" in signed_in.get("/admin/").content.decode()
        answer = signed_in.get(f"{AGENTS}?approval=pending")
        assert list(answer.context["cl"].result_list) == [pending]
        assert "awaiting approval" in answer.content.decode()
        assert list(signed_in.get(f"{AGENTS}?enrolled_by=edge").context["cl"].result_list) == [pending]
        assert list(signed_in.get(f"{AGENTS}?approval=approved").context["cl"].result_list) == [other]

    def test_on_its_page(self, signed_in: Client, pending: Agent) -> None:
        page = signed_in.get(f"{AGENTS}{pending.pk}/change/").content.decode()
        assert "awaits approval" in page
        assert "edge" in page
        for act, state in (("reject", "rejected"), ("approve", "approved")):
            url = f"{AGENTS}{pending.pk}/{act}/"
            assert url in signed_in.get(f"{AGENTS}{pending.pk}/change/").content.decode()
            assert signed_in.get(url).status_code == 200
            assert signed_in.post(url).status_code == 302
            pending.refresh_from_db()
            assert pending.approval == state
            assert f"{act.capitalize()}…" not in signed_in.get(f"{AGENTS}{pending.pk}/change/").content.decode()
        again = signed_in.post(f"{AGENTS}{pending.pk}/approve/", follow=True).content.decode()
        assert "approved already" in again
        assert "Approved by alice" in signed_in.get(f"{AGENTS}{pending.pk}/change/").content.decode()

    @pytest.mark.parametrize(("action", "state"), [("approve", "approved"), ("reject", "rejected")])
    def test_many_from_the_list(self, signed_in: Client, pending: Agent, report: Any, action: str, state: str) -> None:
        other = report("web-2")
        data = {"action": action, "_selected_action": [pending.pk, other.pk]}
        assert signed_in.post(AGENTS, data).status_code == 200
        assert signed_in.post(AGENTS, {**data, "confirmed": "yes"}).status_code == 302
        pending.refresh_from_db()
        other.refresh_from_db()
        assert (pending.approval, other.approval) == (state, "approved")
        assert AuditEntry.objects.filter(verb=f"agent.{action}").count() == 1

    def test_who_only_looks_decides_nothing(self, client: Client, bob: User, pending: Agent) -> None:
        client.force_login(bob)
        assert client.post(f"{AGENTS}{pending.pk}/approve/").status_code == 403
        assert "/approve/" not in client.get(f"{AGENTS}{pending.pk}/change/").content.decode()
