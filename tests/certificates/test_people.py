"""Certificates on pages and over REST: seen, decided, revoked, by those who may."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import AuditEntry, User
from agents.models import Agent, AgentEvent, AgentPresence, ReportedState
from certificates.models import AgentCertificate
from tests.certificates.rows import KEY, made

State = AgentCertificate.State
pytestmark = pytest.mark.django_db


@pytest.fixture
def agent() -> Agent:
    now = timezone.now()
    row = Agent.objects.create(instance_uid=uuid4(), name="edge-1", hostname="host-7", first_seen_at=now)
    ReportedState.objects.create(agent=row)
    AgentPresence.objects.create(agent=row, last_seen_at=now)
    return row


@pytest.fixture
def rest() -> APIClient:
    client = APIClient()
    client.force_authenticate(User.objects.create_superuser("root", password="a-password-for-tests"))
    return client


class TestRest:
    def test_lists_and_filters(self, rest: APIClient, agent: Agent) -> None:
        other = Agent.objects.create(instance_uid=uuid4(), name="edge-2", first_seen_at=timezone.now())
        waiting = made(agent)
        issued = made(other, State.ISSUED, not_after=timezone.now() + timedelta(days=5))

        def ids(**query: str) -> list[int]:
            answer = rest.get("/api/v1/certificates", query)
            assert answer.status_code == 200, answer.content
            return [row["id"] for row in answer.json()["results"]]

        assert ids() == [issued.pk, waiting.pk]
        assert ids(state="pending") == [waiting.pk]
        assert ids(state="pending,issued") == [issued.pk, waiting.pk]
        assert ids(instance_uid=str(other.instance_uid)) == [issued.pk]
        assert ids(expires_before=(timezone.now() + timedelta(days=30)).isoformat()) == [issued.pk]
        for strange in ({"state": "lost"}, {"instance_uid": "x"}, {"expires_before": "soon"}, {"nonsense": "1"}):
            assert rest.get("/api/v1/certificates", strange).status_code == 400, strange
        shown = rest.get(f"/api/v1/certificates/{waiting.pk}").json()
        assert shown["instance_uid"] == str(agent.instance_uid)
        assert "csr" not in shown
        assert rest.get("/api/v1/certificates/999999").status_code == 404

    def test_approves_the_key_that_was_seen(self, rest: APIClient, agent: Agent) -> None:
        row = made(agent)
        url = f"/api/v1/certificates/{row.pk}/approve"
        assert rest.post(url, {}).status_code == 400
        assert rest.post(url, {"key_sha256": KEY, "more": 1}).status_code == 400
        other = rest.post(url, {"key_sha256": "cd" * 32})
        assert (other.status_code, other.json()["code"]) == (409, "certificate-other-key")
        done = rest.post(url, {"key_sha256": KEY})
        assert (done.status_code, done.json()["state"], done.json()["decided_by"]) == (200, "approved", "root")
        again = rest.post(url, {"key_sha256": KEY})
        assert (again.status_code, again.json()["code"]) == (409, "certificate-decided")
        assert AuditEntry.objects.get(verb="certificate.approve").data["key_sha256"] == KEY
        assert AgentEvent.objects.get(agent=agent, kind="certificate").data["step"] == "approved"
        assert rest.post("/api/v1/certificates/999999/approve", {"key_sha256": KEY}).status_code == 404

    def test_denies_with_a_reason(self, rest: APIClient, agent: Agent) -> None:
        row = made(agent)
        url = f"/api/v1/certificates/{row.pk}/deny"
        for body in ({"key_sha256": KEY}, {"key_sha256": KEY, "reason": ""}, {"key_sha256": KEY, "reason": "x" * 501}):
            assert rest.post(url, body).status_code == 400, body
        assert rest.post(url, {"key_sha256": KEY, "reason": "unknown machine"}).json()["reason"] == "unknown machine"

    def test_revokes_once(self, rest: APIClient, agent: Agent) -> None:
        row = made(agent, State.ISSUED)
        url = f"/api/v1/certificates/{row.pk}/revoke"
        assert rest.post(url, {"reason": "stolen"}).json()["state"] == "revoked"
        again = rest.post(url, {"reason": "stolen"})
        assert (again.status_code, again.json()["code"]) == (409, "certificate-not-issued")
        row.refresh_from_db()
        assert row.revoked_at is not None
        waiting = made(agent)
        assert rest.post(f"/api/v1/certificates/{waiting.pk}/revoke", {"reason": "x"}).status_code == 409

    def test_an_agent_that_is_gone_gets_nothing_approved(self, rest: APIClient, agent: Agent) -> None:
        row = made(agent)
        agent.delete()
        assert rest.post(f"/api/v1/certificates/{row.pk}/approve", {"key_sha256": KEY}).status_code == 409
        assert rest.get(f"/api/v1/certificates/{row.pk}").json()["instance_uid"] is None


class TestPages:
    def test_the_list_has_filters(self, admin_client: Client, agent: Agent) -> None:
        made(agent)
        made(agent, State.ISSUED, not_after=timezone.now() + timedelta(days=5))
        made(agent, State.ISSUED, not_after=timezone.now() - timedelta(days=5), serial_number="0ld")
        url = reverse("admin:certificates_agentcertificate_changelist")
        assert admin_client.get(url).context["cl"].result_count == 3
        for query, count in (
            ({"state__exact": "pending"}, 1), ({"ends": "soon"}, 1), ({"ends": "over"}, 1), ({"q": "0ld"}, 1),
            ({"q": "host-7"}, 3), ({"q": "elsewhere"}, 0),
        ):  # fmt: skip
            assert admin_client.get(url, query).context["cl"].result_count == count, query
        assert "expired" in admin_client.get(url).text

    def test_a_page_has_the_buttons_that_fit(self, admin_client: Client, agent: Agent) -> None:
        waiting, issued = made(agent), made(agent, State.ISSUED)
        page = admin_client.get(reverse("admin:certificates_agentcertificate_change", args=[waiting.pk])).text
        assert "/approve/" in page
        assert "/deny/" in page
        assert "/revoke/" not in page
        page = admin_client.get(reverse("admin:certificates_agentcertificate_change", args=[issued.pk])).text
        assert "/approve/" not in page
        assert "/revoke/" in page
        assert "5eb1" in page
        section = admin_client.get(reverse("admin:agents_agent_change", args=[agent.pk])).text
        assert f"/admin/certificates/agentcertificate/{issued.pk}/" in section

    def test_buttons_decide_and_say_why_not(self, admin_client: Client, agent: Agent) -> None:
        row = made(agent)
        approve = reverse("admin:certificate_act", args=[row.pk, "approve"])
        said = admin_client.post(approve, {"key_sha256": "cd" * 32}, follow=True).text
        assert "has asked with another key since" in said
        assert admin_client.get(approve).status_code == 405
        assert "Approved" in admin_client.post(approve, {"key_sha256": KEY}, follow=True).text
        issued = made(agent, State.ISSUED)
        revoke = reverse("admin:certificate_act", args=[issued.pk, "revoke"])
        assert "Give a reason" in admin_client.post(revoke, {"reason": " "}, follow=True).text
        admin_client.post(revoke, {"reason": "stolen <b>laptop</b>"})
        issued.refresh_from_db()
        assert issued.state == State.REVOKED
        page = admin_client.get(reverse("admin:certificates_agentcertificate_change", args=[issued.pk])).text
        assert "stolen &lt;b&gt;laptop" in page
        strange = reverse("admin:certificate_act", args=[issued.pk, "burn"])
        assert admin_client.post(strange).status_code == 302

    def test_who_may_look_decides_nothing(self, client: Client, agent: Agent) -> None:
        row = made(agent)
        bob = User.objects.create_user("bob", password="a-password-for-tests", is_staff=True)
        bob.user_permissions.add(Permission.objects.get(codename="view_agentcertificate"))
        client.force_login(bob)
        page = client.get(reverse("admin:certificates_agentcertificate_change", args=[row.pk])).text
        assert "/approve/" not in page
        act = reverse("admin:certificate_act", args=[row.pk, "approve"])
        assert client.post(act, {"key_sha256": KEY}).status_code == 403
        row.refresh_from_db()
        assert row.state == State.PENDING
