"""Credentials of single agents: telling a true one from anything else, and what people can decide about them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from accounts.models import AuditEntry, User
from agents.credentials import AgentCredential, Denial, new_number, read_credential, text_of
from agents.models import Agent, AgentEvent, AgentPresence, ConnectionRecord, Transport
from agents.services import credentials, editing, retention

KEY = "a-key-of-this-installation-that-is-long"
UID = UUID("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4051")
CREDENTIAL = AgentCredential(UID, 0x1122334455667788)
TEXT = text_of(CREDENTIAL, key=KEY)


@pytest.mark.rule("S-115", "S-117")
class TestText:
    def test_it_says_whose_it_is_and_can_travel_anywhere(self) -> None:
        assert read_credential(TEXT, key=KEY) == CREDENTIAL
        assert TEXT.startswith(f"oac1.{UID.hex}.1122334455667788.")
        assert len(TEXT) == 98
        assert set(TEXT) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")

    def test_no_two_agents_numbers_or_keys_share_one(self) -> None:
        others = [
            text_of(CREDENTIAL._replace(instance_uid=uuid4()), key=KEY),
            text_of(CREDENTIAL._replace(number=CREDENTIAL.number + 1), key=KEY),
            text_of(CREDENTIAL, key=KEY + "x"),
        ]
        assert len({text.rpartition(".")[2] for text in [TEXT, *others]}) == 4

    def test_each_changed_character_makes_it_untrue(self) -> None:
        for place in range(len(TEXT)):
            for sign in "0aA_.":
                altered = TEXT[:place] + sign + TEXT[place + 1 :]
                assert (read_credential(altered, key=KEY) is None) is (altered != TEXT), altered

    @pytest.mark.parametrize(
        "text",
        [
            "", TEXT[:-1], TEXT + "A", TEXT + "=", TEXT + "\n", " " + TEXT, TEXT.upper(), TEXT.replace("oac1", "oac2"),
            TEXT.replace(".", ":"), TEXT * 2, "oac1...", "x" * 1_000_000, TEXT.replace("1", "١"), "\u00ff\ud800",
        ],
    )  # fmt: skip
    def test_nothing_like_it_is_taken(self, text: str) -> None:
        assert read_credential(text, key=KEY) is None

    def test_one_made_with_another_key_is_not_taken(self) -> None:
        assert read_credential(TEXT, key=KEY.upper()) is None

    @given(st.text())
    def test_any_text_is_judged_without_an_error(self, text: str) -> None:
        assert read_credential(text, key=KEY) is None
        assert read_credential(f"oac1.{text}", key=KEY) is None

    def test_numbers_fit_the_column_and_do_not_come_twice(self) -> None:
        numbers = {new_number() for _ in range(1_000)}
        assert len(numbers) == 1_000
        assert all(0 <= number < 2**63 for number in numbers)


def enrolled(agent: Agent, **changes: Any) -> Agent:
    """As if the agent used a credential of its own."""
    now = timezone.now()
    stands = {"number": new_number(), "issued_at": now, "used_at": now, **changes}
    Agent.objects.filter(pk=agent.pk).update(**{f"credential_{name}": value for name, value in stands.items()})
    agent.refresh_from_db()
    return agent


@pytest.mark.django_db
@pytest.mark.rule("S-115")
class TestRevoking:
    def test_it_is_told_once_with_its_author(self, report: Any, alice: User) -> None:
        agent = enrolled(report())
        now = timezone.now()
        assert credentials.revoke_credentials([agent.pk], by=alice, at=now) == 1
        assert credentials.revoke_credentials([agent.pk], by=alice, at=now + timedelta(hours=1)) == 0
        agent.refresh_from_db()
        assert agent.credential_revoked_at == now
        events = AgentEvent.objects.filter(agent=agent, kind="credential").values_list("data", flat=True)
        assert list(events) == [{"step": "revoked", "by": "alice"}]
        entries = AuditEntry.objects.values_list("verb", "actor_name", "object_id")
        assert list(entries) == [("agent.revoke_credential", "alice", str(agent.pk))]

    def test_one_that_polls_is_disconnected_with_it(self, report: Any, alice: User) -> None:
        agent = report()
        Agent.objects.filter(pk=agent.pk).update(transport=Transport.HTTP)
        credentials.revoke_credentials([agent.pk], by=alice, at=timezone.now())
        agent.refresh_from_db()
        assert not agent.connected
        assert ConnectionRecord.objects.get(agent=agent).reason == "credential revoked"

    def test_enrolment_makes_a_clean_start_and_leaves_the_revoked_number_behind(self, report: Any, alice: User) -> None:
        agent = enrolled(report(), former_number=7)
        credentials.revoke_credentials([agent.pk], by=alice, at=timezone.now())
        assert credentials.allow_enrolment([agent.pk], by=alice, at=timezone.now()) == 1
        agent.refresh_from_db()
        names = ("number", "former_number", "issued_at", "used_at", "revoked_at")
        assert [getattr(agent, f"credential_{name}") for name in names] == [None] * 5
        assert AuditEntry.objects.order_by("id").values_list("verb", flat=True).last() == "agent.allow_enrolment"

    @pytest.mark.rule("S-82")
    def test_enrolment_of_one_that_is_not_revoked_keeps_its_credential_meanwhile(self, report: Any) -> None:
        agent = enrolled(report())
        number = agent.credential_number
        assert credentials.allow_enrolment([agent.pk], by=None, at=timezone.now()) == 1
        agent.refresh_from_db()
        assert (agent.credential_number, agent.credential_former_number, agent.credential_used_at) == (
            None, number, None,
        )  # fmt: skip

    def test_one_that_was_given_and_never_used_may_have_been_lost(self, report: Any) -> None:
        agent = enrolled(report(), used_at=None)
        assert credentials.allow_enrolment([agent.pk], by=None, at=timezone.now()) == 1
        agent.refresh_from_db()
        assert (agent.credential_number, agent.credential_former_number) == (None, None)
        in_use = enrolled(report(), former_number=7, used_at=None)
        credentials.allow_enrolment([in_use.pk], by=None, at=timezone.now())
        in_use.refresh_from_db()
        assert in_use.credential_former_number == 7  # the one that it uses while the next one is on its way

    def test_there_is_nothing_to_allow_to_an_agent_that_never_had_one(self, report: Any) -> None:
        assert credentials.allow_enrolment([report().pk], by=None, at=timezone.now()) == 0
        assert not AgentEvent.objects.filter(kind="credential").exists()


@pytest.mark.django_db
@pytest.mark.rule("S-115", "S-83")
class TestForgetting:
    """Without its row an agent that is shut out would be a new one."""

    def test_one_that_is_shut_out_stays(self, report: Any, alice: User) -> None:
        shut_out, other = report("a"), report("b")
        credentials.revoke_credentials([shut_out.pk], by=alice, at=timezone.now())
        assert editing.forget_agents([shut_out.pk, other.pk], by=alice) == 1
        assert list(Agent.objects.values_list("pk", flat=True)) == [shut_out.pk]
        with pytest.raises(editing.CannotBeForgotten, match="Allow its enrolment first"):
            editing.forget_agent(shut_out.pk, by=alice)
        credentials.allow_enrolment([shut_out.pk], by=alice, at=timezone.now())
        editing.forget_agent(shut_out.pk, by=alice)
        assert not Agent.objects.exists()

    def test_time_does_not_make_it_forgotten(self, report: Any, settings: Settings) -> None:
        settings.OPAMP_FORGET_AGENTS_DAYS = 1
        agents = [report("a"), report("b")]
        long_ago = timezone.now() - timedelta(days=9)
        Agent.objects.update(connected=False, disconnected_at=long_ago)
        AgentPresence.objects.update(last_seen_at=long_ago)
        credentials.revoke_credentials([agents[0].pk], by=None, at=long_ago)
        assert retention.count_overdue(retention.PrunedKind.AGENTS, at=timezone.now()) == 1
        assert sum(retention.prune(retention.PrunedKind.AGENTS, at=timezone.now())) == 1
        assert Agent.objects.get() == agents[0]


@pytest.mark.django_db
@pytest.mark.rule("S-113", "S-115")
class TestApi:
    def test_revoke_and_allow(self, api_of: Any, alice: User, report: Any) -> None:
        agent = enrolled(report())
        url = f"/api/v1/agents/{agent.instance_uid}"
        client = api_of(alice)
        assert client.get(url).json()["credential"]["used_at"]
        for _ in range(2):  # a second press is the same wish
            answer = client.post(f"{url}/revoke-credential")
            assert answer.status_code == 200
            assert answer.json()["revoked_at"]
        conflict = client.delete(url)
        assert (conflict.status_code, "Allow its enrolment" in conflict.json()["detail"]) == (409, True)
        answer = client.post(f"{url}/allow-enrolment")
        assert answer.json() == {"issued_at": None, "used_at": None, "revoked_at": None}
        assert AuditEntry.objects.count() == 2
        assert client.delete(url).status_code == 204

    def test_who_may(self, api_of: Any, bob: User, report: Any) -> None:
        agent = report()
        for verb in ("revoke-credential", "allow-enrolment"):
            url = f"/api/v1/agents/{agent.instance_uid}/{verb}"
            assert api_of(None).post(url).status_code == 401
            assert api_of(bob).post(url).status_code == 403
        agent.refresh_from_db()
        assert agent.credential_revoked_at is None

    def test_a_body_that_nobody_reads_is_refused(self, api_of: Any, alice: User, report: Any) -> None:
        url = f"/api/v1/agents/{report().instance_uid}/revoke-credential"
        assert api_of(alice).post(url, {"reason": "stolen"}).status_code == 400
        assert api_of(alice).post(f"/api/v1/agents/{uuid4()}/revoke-credential").status_code == 404


@pytest.mark.django_db
@pytest.mark.rule("S-113", "S-115")
class TestAdmin:
    @pytest.fixture(autouse=True)
    def on(self, settings: Settings) -> None:
        settings.OPAMP_AGENT_CREDENTIALS = True

    def page(self, client: Client, agent: Agent) -> str:
        """The agent's page."""
        return client.get(f"/admin/agents/agent/{agent.pk}/change/").content.decode()

    def test_the_page_says_how_it_stands_and_asks_before_it_acts(
        self, client: Client, alice: User, report: Any
    ) -> None:
        client.force_login(alice)
        agent = report()
        assert "the shared secret" in self.page(client, agent)
        enrolled(agent)
        before = self.page(client, agent)
        assert "Own credential" in before
        assert str(agent.credential_number) not in before
        url = f"/admin/agents/agent/{agent.pk}/revoke/"
        assert "may not come back" in client.get(url).content.decode()
        agent.refresh_from_db()
        assert agent.credential_revoked_at is None
        assert "is shut out" in client.post(url, follow=True).content.decode()
        after = self.page(client, agent)
        assert "revoked" in after
        assert "Its credential was revoked by alice" in after
        assert f"/agent/{agent.pk}/delete/" not in after
        assert client.post(f"/admin/agents/agent/{agent.pk}/delete/", {"post": "yes"}).status_code == 403
        url = f"/admin/agents/agent/{agent.pk}/enrolment/"
        assert "once more" in client.get(url).content.decode()
        client.post(url)
        agent.refresh_from_db()
        assert agent.credential_revoked_at is None
        assert "alice allows it to enrol" in self.page(client, agent)

    def test_a_viewer_sees_it_and_cannot_act(self, client: Client, bob: User, report: Any) -> None:
        client.force_login(bob)
        agent = enrolled(report())
        shown = self.page(client, agent)
        assert "Own credential" in shown
        assert "/revoke/" not in shown
        for verb in ("revoke", "enrolment"):
            assert client.post(f"/admin/agents/agent/{agent.pk}/{verb}/").status_code == 403

    def test_many_at_once(self, client: Client, alice: User, report: Any, settings: Settings) -> None:
        client.force_login(alice)
        agents = [enrolled(report(name)) for name in "ab"]

        def act(action: str) -> str:
            data = {
                "action": action,
                "_selected_action": [agent.pk for agent in agents],
                "confirmed": "1",
                "count": "2",
            }
            return client.post("/admin/agents/agent/", data, follow=True).content.decode()

        asked = client.post(
            "/admin/agents/agent/", {"action": "revoke", "_selected_action": [agent.pk for agent in agents]}
        )
        assert "Revoke credentials (2 agents)" in asked.content.decode()
        assert "Agents shut out: 2." in act("revoke")
        assert Agent.objects.filter(credential_revoked_at=None).count() == 0
        assert "Agents that may enrol: 2." in act("allow_enrolment")
        assert Agent.objects.filter(credential_revoked_at=None, credential_number=None).count() == 2
        settings.OPAMP_AGENT_CREDENTIALS = False
        assert 'value="revoke"' not in client.get("/admin/agents/agent/").content.decode()


def test_each_denial_tells_what_to_do() -> None:
    for denial in Denial:
        assert "OPAMP_SECRET_KEY" in denial.text or "enrolment" in denial.text
