"""API tokens: issued once, verified, revoked."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import ApiToken, AuditEntry, User
from accounts.services import ensure_first_admin, issue_token, revoke_token, verify_token

pytestmark = pytest.mark.django_db


def test_a_token_works_until_it_is_revoked(alice):
    row, text = issue_token(alice, name="ci", by=alice)
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {text}")
    assert client.get("/api/v1/agents").status_code == 200
    assert revoke_token(row, by=alice, at=timezone.now())
    assert not revoke_token(row, by=alice, at=timezone.now())
    assert client.get("/api/v1/agents").status_code == 401
    assert AuditEntry.objects.count() == 2


def test_only_the_digest_is_kept(alice):
    _row, text = issue_token(alice, name="ci", by=None)
    assert text not in str(list(ApiToken.objects.values()))


@pytest.mark.parametrize(
    "damage", [lambda text: text[:-1], lambda text: text + "x", lambda _text: "opk__", lambda _text: "x" * 5000]
)
def test_a_damaged_token_is_nobodys(alice, damage):
    _row, text = issue_token(alice, name="ci", by=None)
    assert verify_token(damage(text), at=timezone.now()) is None


def test_an_expired_token_and_an_inactive_user_are_refused(alice):
    now = timezone.now()
    _row, text = issue_token(alice, name="ci", by=None, expires_at=now + timedelta(hours=1))
    assert verify_token(text, at=now) is not None
    assert verify_token(text, at=now + timedelta(hours=2)) is None
    alice.is_active = False
    alice.save()
    assert verify_token(text, at=now) is None


def test_the_api_answers_a_dead_token_with_401_even_beside_a_session(alice, client):
    now = timezone.now()
    dead = {
        "expired": issue_token(alice, name="old", by=None, expires_at=now)[1],
        "unknown": "opk_0123456789_unknown",
        "no token": "something",
        "empty": "",
        "not ascii": "opk_0_\xff",
    }
    client.force_login(alice)
    assert client.get("/api/v1/agents").status_code == 200
    for what, text in dead.items():
        answer = client.get("/api/v1/agents", HTTP_AUTHORIZATION=f"Bearer {text}")
        assert (answer.status_code, answer["content-type"]) == (401, "application/problem+json"), what
        assert answer["www-authenticate"].startswith("Bearer")
    _row, text = issue_token(alice, name="young", by=None, expires_at=now + timedelta(hours=1))
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert APIClient(HTTP_AUTHORIZATION=f"{scheme} {text}").get("/api/v1/agents").status_code == 200


def test_a_token_may_what_its_user_may_now(bob):
    _row, text = issue_token(bob, name="bob's", by=None)
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {text}")
    assert client.get("/api/v1/agents").status_code == 200
    assert client.post("/api/v1/configurations", {"name": "x", "raw_config": ""}).status_code == 403
    bob.groups.clear()
    assert client.get("/api/v1/agents").status_code == 403
    bob.is_active = False
    bob.save()
    assert client.get("/api/v1/agents").status_code == 401


@pytest.mark.defect(16)
def test_the_first_admin_gets_a_generated_password_and_nobody_registers_himself(client):
    first = ensure_first_admin(username="admin", password="")
    assert first is not None
    assert len(first.generated_password or "") >= 12
    assert ensure_first_admin(username="admin", password="") is None
    _row, text = issue_token(User.objects.get(username="admin"), name="probe", by=None)
    for path in ("register", "auth/register", "users"):
        assert client.post(f"/api/v1/{path}", {}).status_code == 401
        assert client.post(f"/api/v1/{path}", {}, HTTP_AUTHORIZATION=f"Bearer {text}").status_code == 404


def test_create_token_prints_the_token_alone(alice, capsys):
    call_command("create_token", "cli")
    text = capsys.readouterr().out.strip()
    assert verify_token(text, at=timezone.now()) is not None
    with pytest.raises(CommandError, match="nobody"):
        call_command("create_token", "cli", user="nobody")
