"""Enrolment tokens as texts, and how they are made and revoked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import AuditEntry, User
from agents.credentials import Denial
from enrolment.errors import AlreadyRevoked, InvalidToken, TokenNameTaken
from enrolment.models import EnrolmentToken
from enrolment.services import known_tokens, refusals, tokens
from enrolment.services.coming_in import EnrolmentTokens
from enrolment.services.tokens import TokenWish, issue_enrolment_token, revoke_enrolment_token
from enrolment.tokens import TokenState, new_token, read_token
from tests.enrolment.conftest import Issue

KEY = "a-key"
AT = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


class TestText:
    def test_one_that_was_made_is_read(self) -> None:
        token = new_token(key=KEY)
        assert read_token(token.text, key=KEY) == token
        assert token.text.startswith(f"oet1.{token.number}.")
        # Nothing in it needs quotes in YAML, a header or a shell.
        assert token.text.replace(".", "").replace("_", "").replace("-", "").isalnum()
        assert len({new_token(key=KEY).digest for _ in range(20)}) == 20

    def test_nothing_else_is(self) -> None:
        text = new_token(key=KEY).text
        assert read_token(text, key="another-key") is None
        for place in range(len(text)):
            for other in "A0_-.":
                if other != text[place]:
                    assert read_token(text[:place] + other + text[place + 1 :], key=KEY) is None, place
        for spoilt in (text + "A", text[:-1], text.upper(), f" {text}", f"{text}\n", text.replace("oet1", "oet2")):
            assert read_token(spoilt, key=KEY) is None

    @given(st.text())
    def test_whatever_comes(self, text: str) -> None:
        assert read_token(text, key=KEY) is None
        assert read_token(f"oet1.{text}", key=KEY) is None


class TestState:
    def state(self, **more: Any) -> TokenState:
        values = {"token_id": 1, "name": "n", "digest": "", "expires_at": AT, "revoked": False, "return_time": 2 * DAY}
        return TokenState(**{**values, **more})

    @pytest.mark.parametrize(
        ("days", "new", "returning"),
        [
            (-1, None, None),
            (0, Denial.ENROLMENT_EXPIRED, None),
            (1, Denial.ENROLMENT_EXPIRED, None),
            (2, Denial.ENROLMENT_EXPIRED, Denial.ENROLMENT_EXPIRED),
        ],
    )
    def test_the_end(self, days: int, new: Denial | None, returning: Denial | None) -> None:
        at = AT + days * DAY
        assert self.state().denial_of_new(at, uses=0, max_uses=None) is new
        assert self.state().denial(at) is returning

    def test_uses_and_revoking(self) -> None:
        at = AT - DAY
        assert self.state().denial_of_new(at, uses=1, max_uses=2) is None
        assert self.state().denial_of_new(at, uses=2, max_uses=2) is Denial.ENROLMENT_USED_UP
        assert self.state(revoked=True).denial(at) is Denial.ENROLMENT_REVOKED
        assert self.state(expires_at=None).denial(at + 10_000 * DAY) is None


@pytest.mark.django_db
class TestIssuing:
    def test_what_is_kept(self, alice: User) -> None:
        now = timezone.now()
        wish = TokenWish("edge", {"env": "prod"}, expires_at=now + DAY, max_uses=3)
        row, text = issue_enrolment_token(wish, by=alice, at=now)
        kept = EnrolmentToken.objects.values().get()
        assert text not in str(kept)
        assert (kept["labels"], kept["max_uses"], kept["created_by_name"]) == ({"env": "prod"}, 3, "alice")
        entry = AuditEntry.objects.get(verb="enrolment_token.issue")
        assert (entry.object_id, text in str(entry.data)) == (str(row.pk), False)

    @pytest.mark.parametrize(
        ("field", "wish"),
        [
            ("name", {"name": ""}),
            ("name", {"name": "x" * 101}),
            ("name", {"name": "a\nb"}),
            ("name", {"name": "<b>"}),
            ("labels", {"labels": {"a b": "c"}}),
            ("labels", {"labels": {"a": 5}}),
            ("labels", {"labels": {f"k{number}": "v" for number in range(65)}}),
            ("max_uses", {"max_uses": 0}),
            ("max_uses", {"max_uses": 1_000_001}),
            ("expires_at", {"expires_at": AT}),
            ("expires_at", {"expires_at": AT + 10_000 * DAY}),
            ("approval_rule", {"approval_rule": "perhaps"}),
        ],
    )
    def test_what_is_refused(self, field: str, wish: dict[str, Any]) -> None:
        with pytest.raises(InvalidToken) as caught:
            issue_enrolment_token(TokenWish(**{"name": "edge", "labels": {}, **wish}), by=None, at=AT)
        assert caught.value.field == field
        assert not EnrolmentToken.objects.exists()

    def test_a_name_is_of_one_token(self, issue: Issue) -> None:
        issue("edge")
        with pytest.raises(TokenNameTaken):
            issue("edge")

    def test_there_are_not_too_many(self, issue: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tokens, "MOST_TOKENS", 2)
        first = issue("one")[0]
        issue("two")
        with pytest.raises(InvalidToken):
            issue("three")
        revoke_enrolment_token(first.pk, reason="r", by=None, at=timezone.now())
        issue("three")

    def test_the_database_holds_the_most(self, issue: Issue) -> None:
        token = issue(max_uses=1)[0]
        with pytest.raises(IntegrityError), transaction.atomic():
            EnrolmentToken.objects.filter(pk=token.pk).update(uses=2)


@pytest.mark.django_db
class TestRevoking:
    def test_it_says_why_and_happens_once(self, issue: Issue, alice: User) -> None:
        token = issue()[0]
        for nothing in ("", "  ", "x" * 501, "two\nlines"):
            with pytest.raises(InvalidToken):
                revoke_enrolment_token(token.pk, reason=nothing, by=alice, at=timezone.now())
        revoke_enrolment_token(token.pk, reason=" lost ", by=alice, at=timezone.now())
        token.refresh_from_db()
        assert (token.revoke_reason, token.revoked_by_name) == ("lost", "alice")
        with pytest.raises(AlreadyRevoked):
            revoke_enrolment_token(token.pk, reason="again", by=alice, at=timezone.now())
        assert AuditEntry.objects.get(verb="enrolment_token.revoke").data["reason"] == "lost"


@pytest.mark.django_db
class TestMemory:
    def test_a_token_is_asked_for_once_in_a_while(
        self, issue: Issue, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        way, text = EnrolmentTokens(), issue()[1]
        first: Any = way.judge(text)
        with django_assert_num_queries(1):
            admitted = first.run()
        with django_assert_num_queries(0):
            assert way.judge(text) == admitted
        monkeypatch.setattr(known_tokens, "_KEPT_SECONDS", 0.0)
        assert way.judge(text) != admitted

    def test_made_up_ones_ask_nothing_and_write_little(self, django_assert_num_queries: Any) -> None:
        way = EnrolmentTokens()
        first: Any = way.judge(new_token(key="another").text)
        assert first.run() is Denial.ENROLMENT_UNKNOWN
        with django_assert_num_queries(0):
            for _try in range(50):
                assert way.judge(new_token(key="another").text) is Denial.ENROLMENT_UNKNOWN
        assert AuditEntry.objects.filter(verb="enrolment_token.refuse").count() == 1

    def test_the_next_row_says_how_many_there_were(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for _try in range(3):
            refusals.count(0, Denial.ENROLMENT_UNKNOWN)
        refusals.write(0, Denial.ENROLMENT_UNKNOWN)
        for _try in range(5):
            refusals.count(0, Denial.ENROLMENT_UNKNOWN)
        refusals.write(0, Denial.ENROLMENT_UNKNOWN)
        monkeypatch.setattr(refusals, "_PAUSE_SECONDS", 0.0)
        refusals.write(0, Denial.ENROLMENT_UNKNOWN)
        entries = AuditEntry.objects.filter(verb="enrolment_token.refuse").order_by("pk")
        assert [entry.data["count"] for entry in entries] == [3, 5]


@pytest.mark.django_db
class TestCommand:
    def test_it_prints_the_token_alone(self) -> None:
        out = StringIO()
        call_command("create_enrolment_token", "edge", "--label", "env=prod", "--uses", "5", stdout=out)
        text = out.getvalue().strip()
        row = EnrolmentToken.objects.get()
        assert text.startswith(f"oet1.{row.number}.")
        assert (row.labels, row.max_uses, row.created_by_name) == ({"env": "prod"}, 5, "system")

    @pytest.mark.parametrize("more", [["--label", "env"], ["--label", "a b=c"], ["--uses", "0"], ["--expires", "soon"]])
    def test_what_it_refuses(self, more: list[str]) -> None:
        with pytest.raises(CommandError):
            call_command("create_enrolment_token", "edge", *more)
        assert not EnrolmentToken.objects.exists()
