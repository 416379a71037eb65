"""When tokens end: after 90 days unless somebody says otherwise, in the same words at every entry point."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.lifetimes import UnclearExpiry, parse_expiry
from accounts.models import ApiToken
from accounts.services import Never, issue_token

pytestmark = pytest.mark.django_db
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
URL = "/api/v1/tokens"


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("", NOW + timedelta(days=90)),
        ("30d", NOW + timedelta(days=30)),
        (" NEVER ", Never.EXPIRES),
        ("2030-01-31", datetime(2030, 2, 1, tzinfo=UTC)),
        ("2030-01-31T10:00:00Z", datetime(2030, 1, 31, 10, tzinfo=UTC)),
        ("2030-01-31t10:00:00+02:00", datetime(2030, 1, 31, 8, tzinfo=UTC)),
        ("2030-01-31 10:00", datetime(2030, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_what_can_be_written(text, end):
    assert parse_expiry(text, at=NOW) == end


@pytest.mark.parametrize(
    "text", ["soon", "30", "-1d", "0d", "999999d", "2029-12-31", "2030-13-01", "9999-12-31", "1d2"]
)
def test_what_cannot(text):
    with pytest.raises(UnclearExpiry):
        parse_expiry(text, at=NOW)


def days_left(row: ApiToken) -> int | None:
    """Rounded; ``None`` for ever."""
    return None if row.expires_at is None else round((row.expires_at - timezone.now()) / timedelta(days=1))


@pytest.mark.parametrize(("said", "days"), [(None, 90), ("30d", 30), ("never", None)])
class TestEveryDoorSaysTheSame:
    def test_the_command(self, alice, said, days):
        call_command("create_token", "ci", *(["--expires", said] if said else []))
        assert days_left(ApiToken.objects.get()) == days

    def test_the_admin(self, client, alice, said, days):
        client.force_login(alice)
        assert 'value="90d"' in client.get("/admin/accounts/apitoken/add/").content.decode()
        client.post("/admin/accounts/apitoken/add/", {"name": "ci", "user": alice.pk, "lifetime": said or ""})
        assert days_left(ApiToken.objects.get()) == days

    def test_rest(self, api_of, alice, said, days):
        answer = api_of(alice).post(URL, {"name": "ci", **({"expires": said} if said else {})})
        assert answer.status_code == 201
        row = ApiToken.objects.get()
        assert days_left(row) == days
        assert answer.json()["id"] == row.pk
        assert APIClient(HTTP_AUTHORIZATION=f"Bearer {answer.json()['token']}").get("/api/v1/agents").status_code == 200


def test_what_is_not_understood_is_said(api_of, client, alice):
    with pytest.raises(CommandError, match="--expires soon: Say never"):
        call_command("create_token", "ci", "--expires", "soon")
    answer = api_of(alice).post(URL, {"name": "ci", "expires": "soon"})
    assert answer.status_code == 400
    assert "never" in answer.json()["errors"]["expires"][0]
    client.force_login(alice)
    page = client.post("/admin/accounts/apitoken/add/", {"name": "ci", "user": alice.pk, "lifetime": "soon"})
    assert "Say never" in page.content.decode()
    assert not ApiToken.objects.exists()


def test_a_token_makes_none_that_outlives_it(alice):
    _row, text = issue_token(alice, name="short", by=None, expires_at=timezone.now() + timedelta(days=1))
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {text}")
    for said in ("never", "90d"):
        assert client.post(URL, {"name": "longer", "expires": said}).status_code == 403
    assert client.post(URL, {"name": "same"}).status_code == 201
    assert days_left(ApiToken.objects.get(name="same")) == 1


def test_rest_shows_tokens_and_never_their_text(api_of, alice, bob):
    row, text = issue_token(alice, name="ci", by=None)
    client = api_of(alice)
    for answer in (client.get(URL), client.get(f"{URL}/{row.pk}")):
        assert answer.status_code == 200
        assert text not in answer.content.decode()
        assert row.digest not in answer.content.decode()
    assert client.get(URL).json()["results"][0]["user"] == "alice"
    assert client.post(URL, {"name": "x", "user": "nobody"}).status_code == 400
    assert client.post(URL, {"name": "x", "usr": "bob"}).status_code == 400
    assert client.post(URL, {"name": "x", "user": "bob"}).json()["user"] == "bob"
