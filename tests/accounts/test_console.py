"""What the console does to people is in the audit trail too."""

from __future__ import annotations

import pytest
from django.contrib.auth.management.commands import changepassword
from django.core.management import call_command

from accounts.models import AuditEntry, User
from accounts.services import issue_token, verify_token

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("end_tokens", [True, False])
def test_a_lost_password_is_replaced(alice, monkeypatch, capsys, end_tokens):
    row, text = issue_token(alice, name="ci", by=None)
    # A person at a terminal types it twice.
    monkeypatch.setattr(changepassword.getpass, "getpass", lambda prompt: "found-again-123")
    call_command("changepassword", "alice", *(["--end-tokens"] if end_tokens else []))
    alice.refresh_from_db()
    assert alice.check_password("found-again-123")
    assert (verify_token(text, at=row.created_at) is None) == end_tokens
    entry = AuditEntry.objects.get(verb="user.password")
    assert (entry.actor_name, entry.object_name, entry.data) == ("system", "alice", {"tokens_revoked": int(end_tokens)})


def test_another_administrator(db, monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "long-enough-1")
    call_command("createsuperuser", "--noinput", "--username", "dora", "--email", "d@example.com")
    assert User.objects.get(username="dora").is_superuser
    entry = AuditEntry.objects.get(verb="user.create")
    assert (entry.actor_name, entry.object_name) == ("system", "dora")
