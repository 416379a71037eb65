"""What all lists, forms and confirmations share: exact times on hover, deletions that say what goes along, the trail in words."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.utils import timezone, translation

from accounts.models import ApiToken, AuditEntry, User
from accounts.services import issue_token
from accounts.templatetags.instants import instant

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 29, 14, 34, 53, tzinfo=UTC)


def page_at(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return answer.content.decode()


def test_a_time_is_exact_on_hover_in_the_readers_zone():
    with timezone.override("Asia/Shanghai"):
        for language in ("en", "zh-hans"):
            with translation.override(language):
                assert instant(AT) == (
                    '<time datetime="2026-11-29T22:34:53+08:00" title="2026-11-29 22:34:53 CST">2026-11-29 22:34</time>'
                )
    assert instant(None) == "–"


def test_lists_and_read_only_forms_have_such_times(signed_in: Client, alice: User):
    token, _text = issue_token(alice, name="deploy", by=alice, expires_at=AT)
    shown = f'title="{AT:%Y-%m-%d %H:%M:%S} UTC">2026-11-29 14:34</time>'
    assert shown in page_at(signed_in, "/admin/accounts/apitoken/")
    one = page_at(signed_in, f"/admin/accounts/apitoken/{token.pk}/change/")
    assert shown in one
    assert "+00:00</" not in one
    # Nothing of a token is deleted.
    assert "Revoke…" in one
    assert ApiToken.objects.count() == 1


def test_a_list_sorts_by_a_time(signed_in: Client, alice: User):
    for name, at in (("later", AT.replace(year=2030)), ("sooner", AT)):
        issue_token(alice, name=name, by=alice, expires_at=at)
    # The fourth column is when it was made.
    for order, names in (("5", ["sooner", "later"]), ("-5", ["later", "sooner"])):
        page = page_at(signed_in, f"/admin/accounts/apitoken/?o={order}")
        assert re.findall(r'field-name"><a [^>]*>(\w+)', page) == names


def test_a_deletion_names_what_goes_along_and_no_links(signed_in: Client, bob: User):
    role = Group.objects.create(name="looks")
    role.permissions.set(Permission.objects.all()[:5])
    role.user_set.add(bob)
    page = page_at(signed_in, f"/admin/auth/group/{role.pk}/delete/")
    assert "<h1>Delete looks?</h1>" in page
    assert "This cannot be undone." in page
    assert "relationship" not in page
    assert signed_in.post(f"/admin/auth/group/{role.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Group.objects.filter(pk=role.pk).exists()


def test_the_page_of_an_edit_is_called_as_the_button(signed_in: Client, bob: User):
    page = page_at(signed_in, f"/admin/accounts/user/{bob.pk}/change/")
    assert 'class="historylink">Edits</a>' in page


def entry_of(**values: Any) -> AuditEntry:
    given = {"at": AT, "actor_name": "bob", "verb": "package.add_version", "object_type": "packages.package",
             "object_id": "7", "object_name": "otelcol"}  # fmt: skip
    return AuditEntry.objects.create(**given | values)


def test_the_trail_says_what_was_done(signed_in: Client):
    entry = entry_of(
        data={"staged": False, "members": ["a", "b"], "expires_at": "2027-03-01T00:00:00+00:00", "note": ""}
    )
    page = page_at(signed_in, "/admin/accounts/auditentry/")
    assert '<span title="package.add_version">Version added</span>' in page
    assert "staged: No, members: a, b, expires_at: 2027-03-01 00:00" in page
    one = page_at(signed_in, f"/admin/accounts/auditentry/{entry.pk}/change/")
    assert "<h1>Version added: otelcol</h1>" in one
    assert "packages.package" not in one
    assert 'class="historylink"' not in one


@pytest.mark.parametrize("value", ["2027-13-45T99:00:00Z", "2027-03-01", "x" * 500, None, [], {}, {"a": {"b": [1]}}, 7])
def test_the_trail_shows_whatever_stands_in_it(signed_in: Client, value: Any):
    entry = entry_of(verb="from.elsewhere", object_type="of.nothing", data={"key": value, "<b>": "<b>"})
    assert "from.elsewhere" in page_at(signed_in, "/admin/accounts/auditentry/")
    one = page_at(signed_in, f"/admin/accounts/auditentry/{entry.pk}/change/")
    assert "of.nothing" in one
    assert "<b>" not in one


def test_a_refusal_has_the_menu(signed_in: Client, client: Client):
    answer = signed_in.get("/admin/nothing/here/")
    assert answer.status_code == 404
    assert 'class="menu"' in answer.content.decode()


def test_pages_of_the_api_are_called_as_those_of_the_portal(signed_in: Client):
    page = signed_in.get("/api/v1/packages", HTTP_ACCEPT="text/html").content.decode()
    assert "<h1>Packages</h1>" in page
    assert "No Such Url" not in page
    chinese = signed_in.get("/api/v1/packages", HTTP_ACCEPT="text/html", HTTP_ACCEPT_LANGUAGE="zh-CN").content.decode()
    assert "<h1>软件包</h1>" in chinese
