"""Agents that come by an enrolment token, over both transports (S-115, S-117)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone
from pytest_django import Settings

from accounts.models import AuditEntry
from agents.credentials import Denial
from agents.models import Agent, Approval
from agents.services import editing, offers
from enrolment.models import Enrolment, EnrolmentToken
from enrolment.services import known_tokens
from enrolment.services.tokens import revoke_enrolment_token
from opamp_transport import runtime
from opamp_transport.proto import opamp_pb2
from tests.enrolment.conftest import Issue
from tests.fake_agent import FakeAgent, Socket, eventually, post, run
from tests.opamp_transport.agent_credentials import SHARED, denial, offered, rejected, with_own
from tests.opamp_transport.conversations import BOTH, Line, events_of, lose_memory, processed, row_of
from tests.opamp_transport.test_connection_settings import TAKES

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("by_token"),
    pytest.mark.rule("S-115", "S-117"),
]


async def comes(transport: str, text: str, agent: FakeAgent) -> opamp_pb2.ServerToAgent:
    """The answer to an agent that shows ``text`` and tells everything."""
    async with Line(transport, with_own(text)) as line:
        return await line.tell_all(agent)


async def refused(transport: str, text: str) -> int:
    """The status of a request that shows ``text``; of a WebSocket's handshake."""
    if transport == "http":
        return (await post(FakeAgent().message().SerializeToString(), with_own(text))).status
    communicator = Socket(with_own(text)).communicator
    await communicator.send_input({"type": "websocket.connect"})
    start = await communicator.receive_output(5)
    assert start["type"] == "websocket.http.response.start", start
    await communicator.receive_output(5)
    return int(start["status"])


def whole() -> dict[str, Any]:
    """All that an agent tells at first."""
    return FakeAgent().full_parts()


@sync_to_async
def used(token: EnrolmentToken) -> int:
    """How many agents it brought."""
    token.refresh_from_db()
    return token.uses


@sync_to_async
def revoke(token: EnrolmentToken) -> None:
    """As an operator does it."""
    revoke_enrolment_token(token.pk, reason="lost", by=None, at=timezone.now())


@BOTH
class TestComing:
    def test_it_comes_in_is_counted_and_has_the_labels(self, transport: str, issue: Issue) -> None:
        token, text = issue(labels={"env": "prod", "team": "edge"})

        async def body() -> None:
            agent = FakeAgent(env="test", zone="a")
            reply = await comes(transport, text, agent)
            assert not reply.HasField("error_response")
            row = await row_of(agent)
            # What an agent says of itself never wins over what the token gave it.
            assert {key: row.labels[key] for key in ("env", "team", "zone")} == {
                "env": "prod",
                "team": "edge",
                "zone": "a",
            }
            assert row.operator_labels == {"env": "prod", "team": "edge"}
            assert row.enrolled_by == "edge"
            assert await used(token) == 1
            assert token.last_used_at is not None
            assert await events_of(agent, "enrolled") == [("enrolled", {"token": "edge"})]

        run(body())

    def test_it_is_offered_a_credential_and_goes_on_with_that(self, transport: str, issue: Issue) -> None:
        token, text = issue(max_uses=1)

        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            own = offered(await comes(transport, text, agent))
            assert own.startswith("oac1.")
            async with Line(transport, with_own(own)) as line:
                assert not (await line.exchange(agent.message())).HasField("error_response")
            assert (await row_of(agent)).credential_used_at is not None
            await revoke(token)
            assert await denial(transport, with_own(own), agent.message()) is None

        run(body())

    @pytest.mark.rule("S-82")
    def test_one_that_restarts_comes_back_by_the_token_and_is_not_counted_again(
        self, transport: str, issue: Issue
    ) -> None:
        token, text = issue(max_uses=1)

        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            own = offered(await comes(transport, text, agent))
            async with Line(transport, with_own(own)) as line:
                await line.exchange(agent.message())
            second = offered(await comes(transport, text, agent))
            assert second not in {"", own}
            assert await used(token) == 1
            # What was in use goes on until the new one is used.
            assert await denial(transport, with_own(own), agent.message()) is None
            assert await denial(transport, with_own(second), agent.message()) is None
            assert await denial(transport, with_own(own), agent.message()) is Denial.OUTDATED

        run(body())

    def test_used_up_it_brings_nobody_else(self, transport: str, issue: Issue) -> None:
        token, text = issue(max_uses=2)

        async def body() -> None:
            for _number in range(2):
                assert not (await comes(transport, text, FakeAgent())).HasField("error_response")
            one_more = FakeAgent()
            assert await denial(transport, with_own(text), one_more.message(**whole())) is Denial.ENROLMENT_USED_UP
            assert not await Agent.objects.filter(instance_uid=one_more.uid).aexists()
            assert await used(token) == 2

        run(body())

    def test_one_with_a_credential_of_its_own_does_not_come_by_another_token(
        self, transport: str, issue: Issue
    ) -> None:
        text, other = issue()[1], issue("other")[1]

        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            async with Line(transport, with_own(offered(await comes(transport, text, agent)))) as line:
                await line.exchange(agent.message())
            assert await denial(transport, with_own(other), agent.message()) is Denial.ENROLMENT_FOREIGN

        run(body())

    def test_an_agent_that_is_known_keeps_its_labels(self, transport: str, issue: Issue) -> None:
        token, text = issue(labels={"env": "prod"})

        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport, SHARED) as line:
                await line.tell_all(agent)
            assert not (await comes(transport, text, agent)).HasField("error_response")
            row = await row_of(agent)
            assert (row.enrolled_by, row.operator_labels) == ("edge", {})
            assert await used(token) == 1

        run(body())

    def test_one_that_was_forgotten_is_not_counted_again(self, transport: str, issue: Issue) -> None:
        token, text = issue(max_uses=1, labels={"env": "prod"})

        async def body() -> None:
            agent = FakeAgent()
            await comes(transport, text, agent)
            row = await row_of(agent)
            await sync_to_async(editing.forget_agents)([row.pk], by=None)
            assert not (await comes(transport, text, agent)).HasField("error_response")
            anew = await row_of(agent)
            assert anew.pk != row.pk
            assert (anew.enrolled_by, anew.operator_labels) == ("edge", {"env": "prod"})
            assert await used(token) == 1
            assert (await Enrolment.objects.aget(token=token)).agent_id == anew.pk

        run(body())

    @pytest.mark.parametrize("how", ["revoked", "expired"])
    def test_one_that_ended_is_refused_before_anything_else(
        self, transport: str, issue: Issue, how: str, settings: Settings
    ) -> None:
        settings.ENROLMENT_RETURN_DAYS = 0
        token, text = issue()

        async def body() -> None:
            if how == "revoked":
                await revoke(token)
            else:
                await EnrolmentToken.objects.aupdate(expires_at=timezone.now() - timedelta(seconds=1))
            for _try in range(3):
                assert await refused(transport, text) == 401
            entries = [entry async for entry in AuditEntry.objects.filter(verb="enrolment_token.refuse")]
            # A row for the first, none for each.
            assert [(entry.object_id, entry.data) for entry in entries] == [
                (str(token.pk), {"reason": f"enrolment token {how}", "count": 1})
            ]

        run(body())

    @pytest.mark.parametrize("text", ["oet1.", "oet1.0123456789abcdef." + "A" * 43, "oet1." + "e" * 500])
    def test_one_that_was_made_up_is_refused(self, transport: str, text: str) -> None:
        async def body() -> None:
            assert await refused(transport, text) == 401
            entry = await AuditEntry.objects.aget(verb="enrolment_token.refuse")
            assert entry.data == {"reason": "enrolment token unknown", "count": 1}

        run(body())

    def test_after_its_end_those_it_brought_may_come_back_for_a_while(
        self, transport: str, issue: Issue, settings: Settings
    ) -> None:
        settings.ENROLMENT_RETURN_DAYS = 2
        _token, text = issue()

        async def body() -> None:
            agent = FakeAgent()
            await comes(transport, text, agent)
            await EnrolmentToken.objects.aupdate(expires_at=timezone.now() - timedelta(days=1))
            known_tokens.forget_tokens()
            assert await denial(transport, with_own(text), FakeAgent().message(**whole())) is Denial.ENROLMENT_EXPIRED
            assert await denial(transport, with_own(text), agent.message()) is None
            await EnrolmentToken.objects.aupdate(expires_at=timezone.now() - timedelta(days=3))
            known_tokens.forget_tokens()
            assert await refused(transport, text) == 401

        run(body())

    def test_a_retry_and_a_lost_memory_count_nothing(self, transport: str, issue: Issue) -> None:
        token, text = issue()

        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport, with_own(text)) as line:
                message = agent.message(**whole())
                await line.exchange(message)
                await line.exchange(message)
            await lose_memory()
            await comes(transport, text, agent)
            assert await used(token) == 1

        run(body())


class TestConnections:
    def test_revoking_closes_what_the_token_opened(self, issue: Issue) -> None:
        token, text = issue()

        async def body() -> None:
            agent, other = FakeAgent(), FakeAgent()
            async with Socket(with_own(text)) as socket, Socket(SHARED) as beside:
                await socket.exchange(agent.message(**whole()))
                await beside.exchange(other.message(**whole()))
                await processed()
                await revoke(token)
                assert await rejected(socket, await socket.receive()) is Denial.ENROLMENT_REVOKED
                assert await beside.nothing_comes()

            async def is_gone() -> bool:
                return not (await row_of(agent)).connected

            await eventually(is_gone)

        run(body())

    @pytest.mark.rule("S-33")
    def test_each_agent_of_a_shared_connection_counts(self, issue: Issue) -> None:
        token, text = issue(max_uses=2)

        async def body() -> None:
            async with Socket(with_own(text)) as socket:
                for _number in range(2):
                    assert not (await socket.exchange(FakeAgent().message(**whole()))).HasField("error_response")
                assert (await socket.exchange(FakeAgent().message(**whole()))).HasField("error_response")
                assert await used(token) == 2

        run(body())

    def test_without_a_secret_a_bad_token_is_refused_all_the_same(self, settings: Settings) -> None:
        settings.OPAMP_SECRET_KEY = ""
        settings.ALLOWED_HOSTS = ["opamp.example"]

        async def body() -> None:
            assert await refused("http", "oet1.x") == 401
            assert await refused("websocket", "oet1.x") == 401

        run(body())

    def test_one_that_speaks_on_asks_nothing_of_tokens(self, issue: Issue) -> None:
        _token, text = issue()

        async def body() -> None:
            agent = FakeAgent()
            async with Socket(with_own(text)) as socket:
                await socket.exchange(agent.message(**whole()))
                await Enrolment.objects.all().adelete()
                # Were the rows asked, it would be an agent of another token's, and be counted.
                await socket.exchange(agent.message(health=opamp_pb2.ComponentHealth(healthy=False)))
                assert (await row_of(agent)).healthy is False
                assert not await Enrolment.objects.aexists()

        run(body())


def test_a_new_agent_is_approved_where_nobody_said_otherwise(issue: Issue) -> None:
    text = issue()[1]

    async def body() -> None:
        agent = FakeAgent()
        await comes("websocket", text, agent)
        assert (await row_of(agent)).approval == Approval.APPROVED

    run(body())


@pytest.mark.rule("S-83", transport="websocket")
def test_a_lost_wake_up_is_made_up_for(issue: Issue) -> None:
    token, text = issue()

    async def body() -> None:
        agent, other = FakeAgent(), FakeAgent()
        async with Socket(with_own(text)) as socket, Socket(SHARED) as beside:
            await socket.exchange(agent.message(**whole()))
            await beside.exchange(other.message(**whole()))
            await EnrolmentToken.objects.filter(pk=token.pk).aupdate(revoked_at=timezone.now())
            assert await sync_to_async(_pending)() == {agent.uid}
            await runtime.current().find_missed_changes()
            assert await rejected(socket, await socket.receive()) is Denial.ENROLMENT_REVOKED

    run(body())


def _pending() -> set[UUID]:
    """Whom processes look at."""
    return set(offers.pending_since(timezone.now() - timedelta(seconds=60)))
