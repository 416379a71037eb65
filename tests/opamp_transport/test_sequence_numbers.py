"""Sequence numbers over both transports: gaps, repetitions, restarts, and what outlives a connection."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async

from agents.models import AgentPresence
from foundation.clock import clock
from opamp_transport import runtime
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import FakeAgent, effective_config, run
from tests.opamp_transport.conversations import (
    BARE,
    BOTH,
    FULL_STATE,
    GOODBYE,
    UNHEALTHY,
    Line,
    events_of,
    lose_memory,
    parts_of,
    publish,
    row_of,
)

pytestmark = pytest.mark.django_db(transaction=True)


class TestSequence:
    @BOTH
    @pytest.mark.rule("S-42", "S-44")
    @pytest.mark.parametrize("jump", [2, 100, 2**40])
    def test_a_gap_asks_once_for_everything_and_the_new_number_is_the_base(self, transport: str, jump: int) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                await line.tell_all(agent)
                agent.sequence_num += jump
                assert (await line.exchange(agent.message())).flags & FULL_STATE
                for _ in range(3):
                    assert not (await line.exchange(agent.message())).flags
                assert not (await line.tell_all(agent)).flags
                agent.sequence_num += jump
                assert (await line.exchange(agent.message())).flags & FULL_STATE

        run(body())

    @BOTH
    @pytest.mark.rule("S-44")
    def test_a_burst_under_one_number_draws_one_request(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                await line.tell_all(agent)
                replies = [
                    await line.exchange(
                        agent.message(count=False, health=opamp_pb2.ComponentHealth(healthy=True, status=str(number)))
                    )
                    for number in range(4)
                ]
                assert [bool(reply.flags & FULL_STATE) for reply in replies] == [True, False, False, False]

        run(body())

    @BOTH
    @pytest.mark.rule("S-43")
    def test_an_unknown_agent_that_says_little_is_asked_for_everything(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            agent.sequence_num = 41
            async with Line(transport) as line:
                assert (await line.exchange(agent.message())).flags & FULL_STATE
                assert not (await line.tell_all(agent)).flags
                assert (await row_of(agent)).hostname == "web-1"

        run(body())

    @BOTH
    @pytest.mark.rule("S-43")
    def test_a_first_message_that_tells_all_is_enough_whatever_its_number(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            agent.sequence_num = 7
            async with Line(transport) as line:
                assert not (await line.tell_all(agent)).flags
                assert not (await line.exchange(agent.message())).flags

        run(body())

    @BOTH
    @pytest.mark.rule("S-43", "S-44")
    def test_an_agent_with_little_to_tell_has_answered_with_all_it_has(self, transport: str) -> None:
        """Its description, but no status of a configuration: it was never offered one."""

        async def body() -> None:
            agent = FakeAgent(capabilities=0x3007)  # as OpenTelemetry's Python client
            async with Line(transport) as line:
                first = agent.message(agent_description=agent.description())
                assert (await line.exchange(first)).flags & FULL_STATE
                assert (await row_of(agent)).reported.full_state_requested_at is not None
                again = agent.message(agent_description=agent.description())
                assert not (await line.exchange(again)).flags
                assert (await row_of(agent)).reported.full_state_requested_at is None

        run(body())

    @BOTH
    @pytest.mark.rule("S-42", "S-48")
    def test_a_goodbye_after_lost_messages_does_not_hide_them(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                await line.tell_all(agent)
                await line.exchange(agent.message())
                agent.message(health=opamp_pb2.ComponentHealth(healthy=False))  # never arrives
                await line.exchange(agent.message(**GOODBYE))
            async with Line(transport) as line:
                assert (await line.exchange(agent.message())).flags & FULL_STATE

        run(body())

    @BOTH
    @pytest.mark.rule("S-44")
    def test_a_changed_description_alone_is_no_answer(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                await line.tell_all(agent)
                agent.sequence_num += 5
                assert (await line.exchange(agent.message())).flags & FULL_STATE
                agent.labels = {"env": "dev"}
                await line.exchange(agent.message(agent_description=agent.description()))
                assert (await row_of(agent)).reported.full_state_requested_at is not None

        run(body())

    @pytest.mark.rule("S-44", transport="http")
    def test_a_retried_poll_whose_reply_was_lost_is_asked_again(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            line = Line("http")
            await line.tell_all(agent)
            agent.sequence_num += 5
            message = agent.message()
            for _ in range(2):
                assert (await line.exchange(message)).flags & FULL_STATE

        run(body())

    @pytest.mark.rule("S-44", "S-48", transport="websocket")
    def test_a_request_that_was_lost_with_its_socket_is_made_again(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line("websocket") as line:
                await line.tell_all(agent)
                agent.sequence_num += 5
                assert (await line.exchange(agent.message())).flags & FULL_STATE
            async with Line("websocket") as line:
                assert (await line.exchange(agent.message())).flags & FULL_STATE
                await line.tell_all(agent)
            async with Line("websocket") as line:
                assert not (await line.exchange(agent.message())).flags

        run(body())

    @BOTH
    @pytest.mark.rule("S-46")
    def test_a_repeated_message_is_answered_and_takes_effect_once(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            custom = opamp_pb2.CustomMessage(capability="com.example.x", type="t", data=b"1")
            async with Line(transport) as line:
                await line.tell_all(agent)
                message = agent.message(health=UNHEALTHY, custom_message=custom)
                for _ in range(3):
                    assert parts_of(await line.exchange(message)) == BARE
                assert len(await events_of(agent, "custom_message")) == 1
                assert [data["healthy"] for _, data in await events_of(agent, "health")] == [True, False]

        run(body())

    @BOTH
    @pytest.mark.rule("S-46")
    def test_other_content_under_the_same_number_is_not_dropped(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                await line.tell_all(agent)
                await line.exchange(agent.message(health=UNHEALTHY))
                await line.exchange(agent.message(count=False, effective_config=effective_config("b: 2\n")))
                row = await row_of(agent)
                assert row.reported.effective_config.content[""]["body"] == "b: 2\n"
                assert row.healthy is False

        run(body())

    @pytest.mark.rule("S-46", "S-62", "S-110", transport="http")
    def test_a_retry_that_reaches_another_process_gets_the_same_offer(self) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod")
            line = Line("http")
            message = agent.message(**agent.full_parts())
            assert (await line.exchange(message)).remote_config.config_hash == wanted
            await lose_memory()
            assert (await line.exchange(message)).remote_config.config_hash == wanted
            assert not (await line.exchange(agent.message())).HasField("remote_config")

        run(body())

    @BOTH
    @pytest.mark.rule("S-47")
    @pytest.mark.parametrize("first", [0, 1])
    def test_a_number_that_falls_is_a_restart_and_no_error(self, transport: str, first: int) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                await line.tell_all(agent)
                for _ in range(3):
                    await line.exchange(agent.message())
                agent.sequence_num = first - 1
                assert parts_of(await line.tell_all(agent)) == BARE
                assert parts_of(await line.exchange(agent.message())) == BARE

        run(body())

    @BOTH
    @pytest.mark.rule("S-48", "S-110")
    def test_state_outlives_the_connection_and_the_server_process(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                await line.tell_all(agent, health=UNHEALTHY)
                await line.exchange(agent.message())
            async with Line(transport) as line:
                assert not (await line.exchange(agent.message())).flags
            await lose_memory()
            async with Line(transport) as line:
                assert not (await line.exchange(agent.message())).flags
                row = await row_of(agent)
                assert (row.labels["env"], row.healthy, row.connected) == ("prod", False, True)

        run(body())

    @BOTH
    @pytest.mark.rule("S-43", "S-48")
    def test_numbers_that_died_with_the_server_process_bring_the_full_state(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                await line.tell_all(agent)
                for _ in range(3):
                    await line.exchange(agent.message())
                lost = runtime.current().presence
                lost.take()
                lost.note_written(frozenset())
            await lose_memory()
            async with Line(transport) as line:
                assert (await line.exchange(agent.message())).flags & FULL_STATE

        run(body())

    @BOTH
    @pytest.mark.rule("S-49")
    def test_an_absent_number_is_zero(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            message = agent.message(**agent.full_parts())
            message.ClearField("sequence_num")
            async with Line(transport) as line:
                assert not (await line.exchange(message)).flags
                assert not (await line.exchange(agent.message())).flags
                assert (await row_of(agent)).presence.sequence_num in {0, 1}

        run(body())

    @BOTH
    @pytest.mark.rule("S-50")
    def test_an_unchanged_agent_is_never_offered_the_same_hash_twice(self, transport: str) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                assert (await line.tell_all(agent)).remote_config.config_hash == wanted
                for message in (
                    agent.message(),
                    agent.message(health=UNHEALTHY),
                    agent.message(remote_config_status=opamp_pb2.RemoteConfigStatus()),
                    agent.message(**agent.full_parts()),
                ):
                    assert not (await line.exchange(message)).HasField("remote_config")

        run(body())

    @BOTH
    @pytest.mark.rule("S-51")
    def test_every_message_refreshes_last_seen(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                await line.tell_all(agent)
                for message in (agent.message(), agent.message(health=UNHEALTHY), agent.message(count=False)):
                    # By the clock that sets the stamps: the database's, where it has one, differs from this machine's.
                    before = clock.now()
                    await sync_to_async(AgentPresence.objects.update)(last_seen_at=before.replace(year=2000))
                    await line.exchange(message)
                    await runtime.current().flush_presence()
                    assert (await row_of(agent)).presence.last_seen_at >= before

        run(body())
