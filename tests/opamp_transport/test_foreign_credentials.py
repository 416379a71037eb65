"""A credential shown for another agent, one that is none, and connections that show different ones (S-115, S-117)."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as project
from django.utils import timezone

from agents.credentials import AgentCredential, Denial, new_number, text_of
from agents.services import commands
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import FakeAgent, Socket, post, run
from tests.opamp_transport.agent_credentials import (
    RULES,
    SHARED,
    denial,
    enrolled,
    offered,
    rejected,
    with_own,
)
from tests.opamp_transport.conversations import (
    BOTH,
    Line,
    is_known,
    processed,
    refusals,
    row_of,
)
from tests.opamp_transport.test_connection_settings import (
    TAKES,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("agent_credentials_on")]


@BOTH
@RULES
class TestShownForAnother:
    def test_it_speaks_for_its_agent_alone(self, transport: str, caplog: pytest.LogCaptureFixture) -> None:
        async def body() -> None:
            thief, victim, nobody = (FakeAgent(capabilities=TAKES) for _ in range(3))
            text = await enrolled(transport, thief)
            await enrolled(transport, victim)
            await processed()
            before = await row_of(victim)
            counted = refusals(transport, Denial.FOREIGN.value)
            victim.labels = {"stolen": "yes"}
            for target in (victim, nobody):
                parts = target.full_parts()
                assert await denial(transport, with_own(text), target.message(**parts)) is Denial.FOREIGN
            after = await row_of(victim)
            assert (after.labels, after.lease_id) == (before.labels, before.lease_id)
            assert after.presence.sequence_num == before.presence.sequence_num
            assert not await is_known(nobody)
            assert refusals(transport, Denial.FOREIGN.value) == counted + 2
            lines = [record for record in caplog.records if getattr(record, "reason", "") == Denial.FOREIGN.value]
            assert len(lines) == 1  # its like within a minute is counted only
            assert str(victim.uid) in str(vars(lines[0])["error"])

        run(body())

    def test_nor_does_it_ask_for_a_uid(self, transport: str) -> None:
        async def body() -> None:
            agent, other = FakeAgent(capabilities=TAKES), FakeAgent(capabilities=TAKES)
            text = await enrolled(transport, agent)
            asks = {"flags": opamp_pb2.AgentToServerFlags_RequestInstanceUid}
            assert await denial(transport, with_own(text), other.message(**asks)) is Denial.FOREIGN
            assert await denial(transport, SHARED, agent.message(**asks)) is Denial.SHARED
            assert (await row_of(agent)).next_instance_uid is None
            assert await denial(transport, SHARED, other.message(**asks)) is None

        run(body())

    @pytest.mark.rule("S-22")
    @pytest.mark.parametrize(
        "spoil",
        [
            lambda text: text[:-1],
            lambda text: text + "A",
            lambda text: text.swapcase(),
            lambda text: text.replace("oac1", "oac9"),
            lambda text: text[:-4] + "ÿÿÿÿ",
            lambda text: text + "x" * 8_000,
            lambda text: text_of(AgentCredential(uuid4(), new_number()), key="another installation's key"),
        ],
    )
    def test_what_is_no_credential_meets_401_before_any_upgrade(self, transport: str, spoil: Any) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            text = spoil(await enrolled(transport, agent))
            sequence_num = agent.sequence_num
            headers = {name: value.encode("utf-8").decode("latin-1") for name, value in with_own(text).items()}
            if transport == "http":
                answer = await post(agent.message().SerializeToString(), headers)
                assert (answer.status, text in answer.body.decode()) == (401, False)
            else:
                communicator = Socket(headers).communicator
                await communicator.send_input({"type": "websocket.connect"})
                start = await communicator.receive_output(5)
                assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
            assert (await row_of(agent)).presence.sequence_num == sequence_num

        run(body())

    def test_one_never_issued_is_not_in_force(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            await enrolled(transport, agent)
            made_up = text_of(AgentCredential(agent.uid, new_number()), key=project.SECRET_KEY)
            assert await denial(transport, with_own(made_up), agent.message()) is Denial.OUTDATED

        run(body())


@RULES
class TestTwoConnections:
    @pytest.mark.rule("S-32", transport="websocket")
    def test_whoever_may_not_speak_takes_nothing_from_the_one_that_may(self) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            async with Socket(with_own(await enrolled("websocket", agent))) as own:
                await own.exchange(agent.message())
                await processed()
                for _ in range(2):
                    assert await denial("websocket", SHARED, agent.message(count=False)) is Denial.SHARED
                row = await row_of(agent)
                assert row.connected
                await sync_to_async(commands.request_restart)(row, by=None, at=timezone.now())
                assert (await own.receive()).HasField("command")

        run(body())

    @pytest.mark.rule("S-82", transport="websocket")
    def test_the_socket_opened_with_the_secret_ends_with_its_next_word(self) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            async with Socket(SHARED) as old:
                text = offered(await old.exchange(agent.message(**agent.full_parts())))
                async with Socket(with_own(text)) as own:
                    await own.exchange(agent.message())
                    await processed()
                    assert await rejected(old, await old.exchange(agent.message())) is Denial.SHARED
                    assert (await row_of(agent)).connected
                    assert not (await own.exchange(agent.message(count=False))).HasField("error_response")

        run(body())

    @pytest.mark.rule("S-117", transport="http")
    def test_memory_does_not_answer_whoever_shows_less(self) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            line = Line("http", with_own(await enrolled("http", agent)))
            for _ in range(3):
                await line.exchange(agent.message())
            assert await denial("http", SHARED, agent.message()) is Denial.SHARED
            assert await denial("http", with_own(await enrolled("http", FakeAgent(capabilities=TAKES))), agent.message(
                count=False
            )) is Denial.FOREIGN  # fmt: skip
            assert not (await line.exchange(agent.message(count=False))).HasField("error_response")

        run(body())
