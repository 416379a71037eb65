"""Tokens as nobody should show or make them, many agents at once, and a token that is revoked half-way (S-115, S-117)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.models import AuditEntry, User
from agents.models import Agent
from enrolment.models import Enrolment, EnrolmentToken
from enrolment.services.tokens import revoke_enrolment_token
from enrolment.snippets import supervisor
from tests.enrolment.conftest import Issue
from tests.fake_agent import FakeAgent, Socket, post, run
from tests.opamp_transport.agent_credentials import HOST, with_own

URL = "/api/v1/enrolment-tokens"


def whole(agent: FakeAgent) -> bytes:
    return agent.message(**agent.full_parts()).SerializeToString()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("by_token")
class TestShown:
    def test_spellings(self, issue: Issue) -> None:
        """Blanks around it are of the header; anything else makes another text of it."""
        token, text = issue()
        prefix, number, secret = text.split(".")

        async def body() -> None:
            for shown, status in (
                ({"authorization": f"Bearer {text}  "}, 200),
                ({"authorization": f"bearer   {text}"}, 200),
                ({"secret-key": text}, 200),
                ({"authorization": f"Secret-Key {text}"}, 200),
                ({"authorization": text}, 401),
                ({"authorization": f"Basic {text}"}, 401),
                ({"authorization": f"Bearer {text}{text}"}, 401),
                ({"authorization": f"Bearer {text},{text}"}, 401),
                ({"authorization": f"Bearer {text}="}, 401),
                ({"authorization": f"Bearer {text[:-1]}"}, 401),
                ({"authorization": f"Bearer {text.upper()}"}, 401),
                ({"authorization": f"Bearer {prefix}.{number.upper()}X.{secret}"}, 401),
                ({"authorization": f"Bearer {prefix}.{number}.{secret[::-1]}"}, 401),
                ({"authorization": f"Bearer {prefix}.{'0' * 16}.{secret}"}, 401),
                ({"authorization": f"Bearer {text}" + "\xa0"}, 401),
                ({"authorization": "Bearer oet1." + "A" * 7_000}, 401),
            ):
                answer = await post(whole(FakeAgent()), {**HOST, **shown})
                assert answer.status == status, shown
                assert text.encode() not in answer.body

        run(body())
        token.refresh_from_db()
        assert token.uses == 4 == Agent.objects.count()
        refused = AuditEntry.objects.filter(verb="enrolment_token.refuse")
        assert refused.count() == 1, "counted, not written for each"
        assert text not in str(list(AuditEntry.objects.values_list("data", flat=True)))

    def test_a_crowd_at_once_brings_as_many_as_it_may(self, issue: Issue, settings: Settings) -> None:
        settings.OPAMP_REQUESTS_PER_SECOND = 0
        token, text = issue(max_uses=10)

        async def body() -> list[int]:
            answers = await asyncio.gather(*(post(whole(FakeAgent()), with_own(text)) for _number in range(100)))
            return sorted(answer.status for answer in answers)

        assert run(body()) == [200] * 10 + [401] * 90
        token.refresh_from_db()
        assert token.uses == 10 == Agent.objects.count() == Enrolment.objects.count()

    def test_one_that_is_revoked_between_handshake_and_first_message(self, issue: Issue) -> None:
        token, text = issue()

        async def body() -> None:
            async with Socket(with_own(text)) as socket:
                await sync_to_async(revoke_enrolment_token)(token.pk, reason="lost", by=None, at=timezone.now())
                reply = await socket.exchange(FakeAgent().message(**FakeAgent().full_parts()))
                assert reply.HasField("error_response")

        run(body())
        assert not Agent.objects.exists()
        token.refresh_from_db()
        assert token.uses == 0

    def test_one_uid_by_two_tokens_at_once_is_one_agent(self, issue: Issue) -> None:
        _one, first = issue("one")
        _two, second = issue("two")
        uid = uuid4()

        async def body() -> None:
            answers = await asyncio.gather(
                *(post(whole(FakeAgent(uid)), with_own(text)) for text in (first, second) * 3)
            )
            assert {answer.status for answer in answers} <= {200, 401, 403}

        run(body())
        assert Agent.objects.count() == 1
        assert set(Enrolment.objects.values_list("token__name", "instance_uid")) <= {("one", uid), ("two", uid)}


@pytest.mark.django_db
class TestMade:
    @pytest.fixture
    def api(self, api_of: Callable[[User], APIClient], alice: User) -> APIClient:
        return api_of(alice)

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"name": "a\u202eb"}, "name"),
            ({"name": "a\x00b"}, "name"),
            ({"name": "a\x1bb"}, "name"),
            ({"name": "-a"}, "name"),
            ({"name": "a" * 101}, "name"),
            ({"name": "a<b>"}, "name"),
            ({"expires": "99999d"}, "expires"),
            ({"expires": "0d"}, "expires"),
            ({"expires": "-1d"}, "expires"),
            ({"expires": "9999-12-31"}, "expires"),
            ({"expires": "2030-02-30"}, "expires"),
            ({"expires": "2030-01-01T00:00:00+99:99"}, "expires"),
            ({"expires": "0001-01-01T00:00:00+14:00"}, "expires"),
            ({"expires": "٣d"}, "expires"),
            ({"expires": None}, "expires"),
            ({"max_uses": 1e300}, "max_uses"),
            ({"max_uses": 2.5}, "max_uses"),
            ({"max_uses": True}, "max_uses"),
            ({"max_uses": 1_000_001}, "max_uses"),
            ({"labels": {f"k{n}": "v" for n in range(65)}}, "labels"),
            ({"labels": {"k": "v" * 1_025}}, "labels"),
            ({"labels": {"k": "a\x00"}}, "labels"),
            ({"labels": {"k": "a\nb"}}, "labels"),
            ({"labels": {"k": {"deep": 1}}}, "labels"),
            ({"labels": {"": "v"}}, "labels"),
            ({"labels": None}, "labels"),
            ({"approval_rule": ["ask"]}, "approval_rule"),
        ],
    )
    def test_over_rest(self, api: APIClient, body: dict[str, Any], field: str) -> None:
        answer = api.post(URL, {"name": "edge", **body})
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [field]), answer.json()
        assert not EnrolmentToken.objects.exists()

    @pytest.mark.parametrize("reason", ["", " ", "a\nb", "a\x00", "a\x1b[31m", "a\u202eb", "x" * 501, None, 5])
    def test_reasons(self, api: APIClient, issue: Issue, reason: Any) -> None:
        token, _text = issue()
        assert api.post(f"{URL}/{token.pk}/revoke", {"reason": reason}).status_code == 400
        token.refresh_from_db()
        assert token.revoked_at is None

    def test_a_token_that_is_not_there(self, api: APIClient) -> None:
        for key in ("0", "999999", "9" * 18):
            assert api.post(f"{URL}/{key}/revoke", {"reason": "x"}).status_code == 404
            assert api.get(f"{URL}/{key}").status_code == 404
        assert api.get(f"{URL}/{'9' * 30}").status_code == 404

    def test_in_the_portal(self, signed_in: Client) -> None:
        url = reverse("admin:enrolment_enrolmenttoken_add")
        good = {"name": "edge", "label_lines": "", "max_uses": "", "lifetime": "7d", "approval_rule": "site"}
        for typed in (
            {"name": "a\x00b"},
            {"name": "a\u202eb"},
            {"label_lines": "no sign"},
            {"label_lines": "a=\x00"},
            {"label_lines": "\n".join(f"k{n}=v" for n in range(200))},
            {"max_uses": "9" * 40},
            {"max_uses": "-1"},
            {"lifetime": "9" * 40},
            {"lifetime": "later"},
            {"approval_rule": "nobody"},
        ):
            answer = signed_in.post(url, {**good, **typed}, follow=True)
            assert answer.status_code == 200, typed
            assert not EnrolmentToken.objects.exists(), typed

    @pytest.mark.parametrize(
        "words",
        [
            ["a\nb"],
            ["edge", "--label", "a"],
            ["edge", "--label", "=b"],
            ["edge", "--uses", "0"],
            ["edge", "--uses", "-5"],
            ["edge", "--expires", "soon"],
            ["edge", "--expires", "2001-01-01"],
        ],
    )
    def test_by_the_command(self, words: list[str]) -> None:
        with pytest.raises(CommandError):
            call_command("create_enrolment_token", *words)
        assert not EnrolmentToken.objects.exists()

    def test_what_stands_in_settings_to_copy_is_one_value(self) -> None:
        """An address may have signs that mean something to YAML."""
        import yaml

        for endpoint in ("wss://h/x: y", "wss://h/#x", 'wss://h/"\\', "wss://h/&a*b", "wss://h/{a}", "wss://h/%22"):
            read = yaml.safe_load(supervisor(endpoint, "oet1.a.b"))
            assert read["server"]["endpoint"] == endpoint
