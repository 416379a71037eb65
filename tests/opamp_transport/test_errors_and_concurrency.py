"""Sections L to N of the checklist as far as state is concerned: failures, order, several nodes, forward compatibility."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.utils import timezone

from agents.models import Agent
from agents.services.commands import request_restart
from opamp_transport import runtime
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import FakeAgent, Socket, answered, effective_config, post, run
from tests.opamp_transport.conversations import (
    BOTH,
    FULL_STATE,
    Line,
    events_of,
    is_known,
    lose_memory,
    publish,
    row_of,
)
from tests.opamp_transport.protocol.wire import length_delimited, varint

pytestmark = pytest.mark.django_db(transaction=True)
POISON = "poison of the test"
UNKNOWN = opamp_pb2.ServerErrorResponseType_Unknown
UNAVAILABLE = opamp_pb2.ServerErrorResponseType_Unavailable


@contextmanager
def _poisonous_database() -> Iterator[None]:
    """The database itself refuses every row whose last error is ``POISON``."""
    sqlite = f"""
        CREATE TRIGGER poison BEFORE UPDATE ON agents_agent WHEN NEW.last_error = '{POISON}'
        BEGIN SELECT RAISE(ABORT, 'refused'); END"""
    postgresql = f"""
        CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$ LANGUAGE plpgsql;
        CREATE TRIGGER poison BEFORE UPDATE ON agents_agent FOR EACH ROW WHEN (NEW.last_error = '{POISON}')
        EXECUTE FUNCTION refuse()"""
    gone = {
        "sqlite": ["DROP TRIGGER poison"],
        "postgresql": ["DROP TRIGGER poison ON agents_agent", "DROP FUNCTION refuse()"],
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(sqlite if connection.vendor == "sqlite" else postgresql)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            for statement in gone:
                cursor.execute(statement)


@pytest.fixture
def poisonous_database() -> Iterator[None]:
    """See `_poisonous_database`."""
    with _poisonous_database():
        yield


class TestFailures:
    @BOTH
    @pytest.mark.rule("S-45")
    def test_a_report_that_cannot_be_recorded_does_not_count(self, transport: str, poisonous_database: None) -> None:
        async def body() -> None:
            agent, other = FakeAgent(env="prod"), FakeAgent()
            sick = opamp_pb2.ComponentHealth(healthy=False, last_error=POISON)
            async with Line(transport) as line, Line(transport) as elsewhere:
                await line.tell_all(agent)
                await elsewhere.tell_all(other)
                bad, good = await asyncio.gather(
                    line.exchange(agent.message(health=sick)), elsewhere.exchange(other.message(health=sick_free()))
                )
                assert (bad.error_response.type, good.HasField("error_response")) == (UNKNOWN, False)
                row = await row_of(agent)
                assert (row.healthy, row.presence.sequence_num) == (True, 0)
                # The next message shows the gap, and the agent tells what was lost.
                assert (await line.exchange(agent.message())).flags & FULL_STATE
                await line.tell_all(agent)
                assert not (await line.exchange(agent.message())).flags

        run(body())

    @BOTH
    @pytest.mark.rule("S-104", "S-45")
    def test_a_report_that_finds_the_queue_full_changes_nothing(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            sick = opamp_pb2.ComponentHealth(healthy=False)
            async with Line(transport) as line:
                await line.tell_all(agent)
                queue = runtime.current().report_queue
                limit, queue._queue_limit = queue._queue_limit, 0
                message = agent.message(health=sick)
                if transport == "websocket":
                    refused = await line.exchange(message)
                    assert refused.error_response.type == UNAVAILABLE
                    assert refused.error_response.retry_info.retry_after_nanoseconds >= 30 * 10**9
                else:
                    answer = await post(message.SerializeToString())
                    assert (answer.status, int(answer.headers["retry-after"]) >= 30) == (503, True)
                queue._queue_limit = limit
                row = await row_of(agent)
                assert (row.healthy, row.presence.sequence_num) == (True, 0)
            async with Line(transport) as again:
                assert not (await again.exchange(message)).flags
                assert (await row_of(agent)).healthy is False

        run(body())

    @BOTH
    @pytest.mark.rule("S-100", "S-101")
    def test_a_bad_message_is_told_so_and_the_agent_goes_on(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                await line.tell_all(agent)
                if line.socket is not None:
                    await line.socket.communicator.send_to(bytes_data=b"\x00\x0a\xff")
                    reply = await line.socket.receive()
                    assert reply.error_response.type == opamp_pb2.ServerErrorResponseType_BadRequest
                    assert "decode" in reply.error_response.error_message
                else:
                    assert (await post(b"\x0a\xff")).status == 400
                assert not (await line.exchange(agent.message())).flags

        run(body())


def sick_free() -> opamp_pb2.ComponentHealth:
    """A healthy agent."""
    return opamp_pb2.ComponentHealth(healthy=True, status="fine")


class TestOrder:
    @BOTH
    @pytest.mark.rule("S-107")
    def test_messages_of_one_agent_that_arrive_together_are_worked_on_one_by_one(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            messages = [
                agent.message(**agent.full_parts(), custom_message=opamp_pb2.CustomMessage(type=str(number)))
                for number in range(12)
            ]
            if transport == "http":
                replies = await asyncio.gather(*(Line("http").exchange(message) for message in messages))
            else:
                async with Socket() as socket:
                    for message in messages:
                        await socket.send(message)
                    replies = [await socket.receive() for _ in messages]
            assert not any(reply.HasField("error_response") for reply in replies)
            assert len(await events_of(agent, "registered")) == 1
            handled = [data["type"] for _, data in await events_of(agent, "custom_message")]
            assert sorted(handled, key=int) == [str(number) for number in range(12)]

        run(body())

    @BOTH
    @pytest.mark.rule("S-107", "S-111")
    def test_many_agents_that_arrive_together_are_all_answered(self, transport: str) -> None:
        async def body() -> None:
            agents = [FakeAgent() for _ in range(20)]

            async def speak(agent: FakeAgent) -> bytes:
                async with Line(transport) as line:
                    return (await line.tell_all(agent)).instance_uid

            assert await asyncio.gather(*map(speak, agents)) == [agent.uid.bytes for agent in agents]
            assert await sync_to_async(Agent.objects.count)() == 20

        run(body())

    @pytest.mark.rule("S-109", "S-36", transport="websocket")
    def test_the_server_reads_on_while_its_messages_are_unanswered(self) -> None:
        async def body() -> None:
            await publish()
            agent = FakeAgent(env="prod")
            async with Socket() as socket:
                await socket.send(agent.message(**agent.full_parts()))
                for number in range(30):
                    await socket.send(agent.message(effective_config=effective_config(f"n: {number}\n")))
                replies = [await socket.receive() for _ in range(31)]
                assert replies[0].HasField("remote_config")
                assert not any(reply.HasField("remote_config") for reply in replies[1:])
                row = await row_of(agent)
                assert row.reported.effective_config.content[""]["body"] == "n: 29\n"

        run(body())

    @pytest.mark.rule("S-109", transport="http")
    def test_a_poll_after_an_offer_need_not_answer_it(self) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod")
            line = Line("http")
            assert (await line.tell_all(agent)).HasField("remote_config")
            await line.exchange(agent.message(health=sick_free()))
            await line.exchange(agent.message(remote_config_status=answered(wanted, 1)))
            assert (await row_of(agent)).in_sync

        run(body())


class TestSeveralNodes:
    @pytest.mark.rule("S-110", transport="http")
    def test_what_one_process_queued_another_delivers(self) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            line = Line("http")
            await line.tell_all(agent)
            await lose_memory()
            wanted = await publish()
            row = await row_of(agent)
            await sync_to_async(request_restart)(row, by=None, at=timezone.now())
            await lose_memory()
            assert (await line.exchange(agent.message())).HasField("command")
            await lose_memory()
            reply = await line.exchange(agent.message())
            assert (reply.remote_config.config_hash, reply.flags) == (wanted, 0)

        run(body())


class TestForwardCompatibility:
    @BOTH
    @pytest.mark.rule("S-112")
    def test_unknown_fields_and_numbers_are_ignored(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            message = agent.message(**agent.full_parts())
            message.flags = 1 << 20
            message.remote_config_status.status = 99  # type: ignore[assignment]
            future = length_delimited(4000, b"later") + varint(4001 << 3) + varint(7)
            message.MergeFromString(future)
            async with Line(transport) as line:
                reply = await line.exchange(message)
                assert not reply.HasField("error_response")
                row = await row_of(agent)
                assert (row.hostname, row.remote_config_status) == ("web-1", 0)
                assert not (await line.exchange(agent.message())).flags
                assert await is_known(agent)

        run(body())
