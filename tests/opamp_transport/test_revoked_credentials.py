"""A credential that is revoked, replaced, or whose agent is forgotten ends at once, over both transports (S-83, S-115, S-117)."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents.credentials import Denial
from agents.models import Agent
from agents.services import editing
from opamp_transport import runtime
from tests.fake_agent import COLLECTOR, FakeAgent, Socket, eventually, run
from tests.opamp_transport.agent_credentials import (
    RULES,
    SHARED,
    allow,
    denial,
    enrolled,
    given,
    named_in,
    offered,
    rejected,
    revoke,
    with_own,
)
from tests.opamp_transport.conversations import (
    BOTH,
    Line,
    events_of,
    is_known,
    lose_memory,
    processed,
    row_of,
)
from tests.opamp_transport.test_connection_settings import (
    TAKES,
    TELLS,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("agent_credentials_on")]


@RULES
class TestRevoked:
    @pytest.mark.rule("S-83", transport="websocket")
    def test_a_live_socket_is_closed_at_once(self) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            async with Socket(with_own(await enrolled("websocket", agent))) as socket:
                await socket.exchange(agent.message())
                await processed()
                await revoke(agent)
                assert await rejected(socket, await socket.receive()) is Denial.REVOKED

            async def is_gone() -> bool:
                return not (await row_of(agent)).connected

            await eventually(is_gone)

        run(body())

    @pytest.mark.rule("S-83", transport="websocket")
    def test_also_when_the_ring_was_lost(self) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            async with Socket(with_own(await enrolled("websocket", agent))) as socket:
                await socket.exchange(agent.message())
                await processed()
                await Agent.objects.aupdate(credential_revoked_at=timezone.now())
                await runtime.current().find_missed_changes()
                assert await rejected(socket, await socket.receive()) is Denial.REVOKED

        run(body())

    @pytest.mark.rule("S-33", transport="websocket")
    def test_others_on_the_same_socket_are_not_hit(self) -> None:
        async def body() -> None:
            first, second = FakeAgent(capabilities=COLLECTOR), FakeAgent(capabilities=COLLECTOR)
            async with Socket(SHARED) as gateway:
                for agent in (first, second):
                    await gateway.exchange(agent.message(**agent.full_parts()))
                await processed()
                await revoke(first)
                pushed = await gateway.receive()
                assert named_in(pushed.error_response.error_message) is Denial.REVOKED
                assert not (await row_of(first)).connected
                await runtime.current().find_missed_changes()
                await processed()
                assert await gateway.nothing_comes()
                for _ in range(2):
                    assert (await gateway.exchange(first.message())).HasField("error_response")
                    assert not (await gateway.exchange(second.message())).HasField("error_response")

        run(body())

    @BOTH
    @pytest.mark.rule("S-83")
    def test_neither_credential_nor_secret_lets_it_in_until_it_may_enrol(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TELLS)
            text = await enrolled(transport, agent)
            await revoke(agent)
            for shown in (with_own(text), SHARED):
                assert await denial(transport, shown, agent.message()) is Denial.REVOKED
            await lose_memory()
            for shown in (with_own(text), SHARED):
                assert await denial(transport, shown, agent.message(**agent.full_parts())) is Denial.REVOKED
            assert not (await row_of(agent)).connected
            await allow(agent)
            assert await denial(transport, with_own(text), agent.message()) is Denial.OUTDATED
            agent.sequence_num = -1
            second = await given(transport, agent)
            assert second != text
            assert await denial(transport, with_own(second), agent.message()) is None
            assert await denial(transport, with_own(text), agent.message()) is Denial.OUTDATED
            steps = [data["step"] for _, data in await events_of(agent, "credential")]
            assert steps == ["issued", "used", "revoked", "allowed", "issued", "used"]

        run(body())

    @pytest.mark.rule("S-83", transport="http")
    def test_a_poll_that_memory_would_answer_is_refused(self) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            text = await enrolled("http", agent)
            line = Line("http", with_own(text))
            for _ in range(3):
                await line.exchange(agent.message())
            await processed()
            await revoke(agent)
            await processed()
            assert await denial("http", with_own(text), agent.message()) is Denial.REVOKED

        run(body())


@BOTH
@RULES
@pytest.mark.rule("S-82")
def test_a_connected_agent_that_may_enrol_gets_another_credential_and_keeps_the_old_one_until_then(
    transport: str,
) -> None:
    async def body() -> None:
        agent = FakeAgent(capabilities=TAKES)
        text = await enrolled(transport, agent)
        async with Line(transport, with_own(text)) as line:
            await line.exchange(agent.message())
            await processed()
            await allow(agent)
            await processed()
            second = offered(await line.exchange(agent.message()))
            assert second not in {"", text}
        assert await denial(transport, with_own(text), agent.message()) is None
        assert await denial(transport, with_own(second), agent.message()) is None
        assert await denial(transport, with_own(text), agent.message()) is Denial.OUTDATED

    run(body())


@BOTH
@RULES
def test_forgetting_an_agent_ends_its_credential_for_good(transport: str) -> None:
    async def body() -> None:
        agent = FakeAgent(capabilities=TAKES)
        text = await enrolled(transport, agent)
        row = await row_of(agent)
        await sync_to_async(editing.forget_agents)([row.pk], by=None)
        await processed()
        assert await denial(transport, with_own(text), agent.message()) is Denial.OUTDATED
        assert not await is_known(agent)
        agent.sequence_num = -1
        second = await given(transport, agent)
        assert await denial(transport, with_own(text), agent.message()) is Denial.OUTDATED
        assert await denial(transport, with_own(second), agent.message()) is None

    run(body())
