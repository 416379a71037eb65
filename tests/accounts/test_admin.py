"""People, tokens and the audit trail in the admin."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import ApiToken, AuditEntry
from accounts.services import issue_token, verify_token

pytestmark = pytest.mark.django_db
TOKENS, TRAIL = "/admin/accounts/apitoken/", "/admin/accounts/auditentry/"


def test_a_token_is_shown_once_and_works(signed_in, alice):
    form = {"name": "ci", "user": alice.pk, "expires_at_0": "", "expires_at_1": ""}
    body = signed_in.post(TOKENS + "add/", form, follow=True).content.decode()
    found = re.search(r"opk_\w+_[\w-]+", body)
    assert found
    row = ApiToken.objects.get()
    assert verify_token(found[0], at=row.created_at) == row
    assert found[0] not in signed_in.get(TOKENS).content.decode()
    assert AuditEntry.objects.get(verb="token.issue").actor == alice


def test_tokens_are_revoked_and_never_changed(signed_in, alice):
    row, _text = issue_token(alice, name="ci", by=alice)
    page = signed_in.post(TOKENS, {"action": "revoke", "_selected_action": [row.pk]}, follow=True).content.decode()
    assert "Tokens revoked: 1." in page
    row.refresh_from_db()
    assert row.revoked_at is not None
    assert signed_in.post(f"{TOKENS}{row.pk}/change/", {"name": "other"}).status_code == 403


def test_the_trail_is_read_and_filtered_without_a_scan(signed_in, alice, report):
    issue_token(alice, name="ci", by=alice)
    AuditEntry.objects.create(
        actor=alice, actor_name="alice", verb="agent.edit", object_type="agents.agent", object_id="1"
    )
    with CaptureQueriesContext(connection) as queries:
        body = signed_in.get(TRAIL).content.decode()
    assert "token.issue" in body
    assert len(queries) <= 15
    for query in queries:
        assert "DISTINCT" not in query["sql"]
        assert "COUNT(" not in query["sql"] or "LIMIT" in query["sql"], query["sql"]
    body = signed_in.get(TRAIL, {"object": "agents.agent"}).content.decode()
    assert "agent.edit" in body
    assert "token.issue" not in body


def test_nobody_writes_the_trail_by_hand(signed_in, alice):
    issue_token(alice, name="ci", by=alice)
    entry = AuditEntry.objects.get()
    assert signed_in.get(TRAIL + "add/").status_code == 403
    assert signed_in.post(f"{TRAIL}{entry.pk}/change/", {}).status_code == 403
    assert signed_in.post(f"{TRAIL}{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    assert signed_in.get(f"{TRAIL}{entry.pk}/change/").status_code == 200
