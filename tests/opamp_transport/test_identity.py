"""Section B of the checklist: uids, connections, and who belongs to which; `test_duplicate_uids` has two agents of one uid."""

from __future__ import annotations

from contextlib import AsyncExitStack
from uuid import UUID, uuid4

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from accounts.models import AuditEntry
from agents.models import Agent, ConnectionRecord
from agents.services.commands import request_restart
from agents.services.identity import assign_instance_uid
from opamp_transport import runtime
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import FakeAgent, eventually, run
from tests.opamp_transport.conversations import (
    BOTH,
    FULL_STATE,
    GOODBYE,
    Line,
    events_of,
    is_known,
    lose_memory,
    new_uid,
    parts_of,
    publish,
    row_of,
)

pytestmark = pytest.mark.django_db(transaction=True)
ASKS_FOR_UID = opamp_pb2.AgentToServerFlags_RequestInstanceUid


@sync_to_async
def assign(agent: FakeAgent) -> UUID:
    """An operator gives the agent another uid."""
    return assign_instance_uid(Agent.objects.get(instance_uid=agent.uid), by=None, at=timezone.now())


class TestTheUidOfAMessage:
    @BOTH
    @pytest.mark.rule("S-25")
    @pytest.mark.parametrize("length", [0, 1, 15, 17, 36])
    def test_any_length_but_16_is_refused_with_bad_request(self, transport: str, length: int) -> None:
        async def body() -> None:
            async with Line(transport) as line:
                reply = await line.exchange(opamp_pb2.AgentToServer(instance_uid=b"x" * length))
                assert reply.error_response.type == opamp_pb2.ServerErrorResponseType_BadRequest
                assert reply.instance_uid == b"x" * length
            assert not await sync_to_async(Agent.objects.exists)()

        run(body())

    @BOTH
    @pytest.mark.rule("S-26")
    def test_the_text_ids_of_clients_before_0_10_are_refused_under_their_own_name(self, transport: str) -> None:
        async def body() -> None:
            ulid = b"01J1M1P4ZM7SFHQ2K4Q5R6S7T8"
            async with Line(transport) as line:
                reply = await line.exchange(opamp_pb2.AgentToServer(instance_uid=ulid))
                assert reply.instance_uid == ulid
                assert "16 bytes" in reply.error_response.error_message

        run(body())

    @BOTH
    @pytest.mark.rule("S-25")
    def test_the_version_of_a_uid_is_not_looked_at(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(UUID(int=5))
            async with Line(transport) as line:
                assert not (await line.tell_all(agent)).HasField("error_response")
                assert await is_known(agent)

        run(body())

    @BOTH
    @pytest.mark.rule("S-27")
    def test_every_message_of_the_server_names_the_agent(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                replies = [await line.tell_all(agent), await line.exchange(agent.message())]
                await publish()
                replies.append(await line.hear(agent))
                await sync_to_async(request_restart)(await row_of(agent), by=None, at=timezone.now())
                replies.append(await line.hear(agent))
                replies.append(await line.exchange(agent.message(**GOODBYE)))
                assert [reply.instance_uid for reply in replies] == [agent.uid.bytes] * 5

        run(body())


class TestAssignedUids:
    @BOTH
    @pytest.mark.rule("S-28", "S-29", "S-30")
    def test_who_asks_for_a_uid_gets_one_and_the_temporary_one_is_not_kept(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                reply = await line.tell_all(agent, flags=ASKS_FOR_UID)
                assigned = new_uid(reply)
                assert (reply.instance_uid, assigned.version) == (agent.uid.bytes, 7)
                assert not await is_known(agent)
                agent.uid = assigned
                assert (await line.exchange(agent.message())).flags & FULL_STATE
                await line.tell_all(agent)
                assert (await row_of(agent)).hostname == "web-1"

        run(body())

    @BOTH
    @pytest.mark.rule("S-28", "S-30")
    def test_a_member_of_the_fleet_that_asks_keeps_its_row(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                await line.tell_all(agent)
                row = await row_of(agent)
                message = agent.message(flags=ASKS_FOR_UID)
                assigned = new_uid(await line.exchange(message))
                assert new_uid(await line.exchange(message)) == assigned
                agent.uid = assigned
                await line.exchange(agent.message())
                assert (await row_of(agent)).pk == row.pk

        run(body())

    @BOTH
    @pytest.mark.rule("S-29", "S-30")
    def test_an_operator_assigns_a_uid_and_history_moves_with_its_first_use(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            former = agent.uid
            async with Line(transport) as line:
                await line.tell_all(agent)
                row = await row_of(agent)
                assigned = await assign(agent)
                assert await assign(agent) == assigned
                told = await line.hear(agent)
                assert (told.instance_uid, new_uid(told)) == (former.bytes, assigned)
                assert not (await line.exchange(agent.message())).HasField("agent_identification")
                agent.uid = assigned
                reply = await line.exchange(agent.message())
                assert (reply.instance_uid, reply.HasField("agent_identification")) == (assigned.bytes, False)
                moved = await row_of(agent)
                assert (moved.pk, moved.connected, moved.next_instance_uid) == (row.pk, True, None)
                assert ("identity", {"former": str(former), "new": str(assigned)}) in await events_of(agent)
                assert await sync_to_async(AuditEntry.objects.filter(verb="agent.assign_uid").count)() == 1

        run(body())

    @BOTH
    @pytest.mark.rule("S-30")
    def test_a_uid_that_is_not_used_is_told_again_after_a_reconnect(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                await line.tell_all(agent)
                assigned = await assign(agent)
                assert new_uid(await line.hear(agent)) == assigned
                await line.exchange(agent.message(**GOODBYE))
            async with Line(transport) as line:
                assert new_uid(await line.exchange(agent.message())) == assigned

        run(body())

    @pytest.mark.rule("S-30", transport="http")
    def test_a_retried_poll_is_told_its_uid_again(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line("http") as line:
                await line.tell_all(agent)
                assigned = await assign(agent)
                message = agent.message()
                assert new_uid(await line.exchange(message)) == assigned
                assert new_uid(await line.exchange(message)) == assigned

        run(body())


class TestSharedConnections:
    """Gateways: several agents on one socket, or behind one address."""

    @BOTH
    @pytest.mark.rule("S-33")
    def test_state_and_replies_belong_to_the_uid(self, transport: str) -> None:
        async def body() -> None:
            wanted = await publish()
            agents = [FakeAgent(env="prod"), FakeAgent(env="dev"), FakeAgent(env="prod")]
            async with Line(transport) as line:
                offered = [(await line.tell_all(agent)).remote_config.config_hash for agent in agents]
                assert offered == [wanted, b"", wanted]
                await line.exchange(agents[0].message(health=opamp_pb2.ComponentHealth(healthy=False)))
                assert [(await row_of(agent)).healthy for agent in agents] == [False, True, True]
                for agent in agents:
                    assert (await line.exchange(agent.message())).instance_uid == agent.uid.bytes

        run(body())

    @pytest.mark.rule("S-33", "S-34", transport="websocket")
    def test_one_agent_leaves_a_shared_socket_and_the_close_takes_the_rest(self) -> None:
        async def body() -> None:
            agents = [FakeAgent(uuid4()) for _ in range(3)]
            async with AsyncExitStack() as stack:
                async with Line("websocket") as line:
                    elsewhere = await stack.enter_async_context(Line("websocket"))
                    for agent in agents:
                        await line.tell_all(agent)
                    await line.exchange(agents[0].message(**GOODBYE))
                    assert [(await row_of(agent)).connected for agent in agents] == [False, True, True]
                    await elsewhere.exchange(agents[1].message())
                    assert len(runtime.current().sessions.by_uid) == 2

                async def closed() -> bool:
                    return [(await row_of(agent)).connected for agent in agents] == [False, True, False]

                await eventually(closed)
                assert set(runtime.current().sessions.by_uid) == {agents[1].uid}

        run(body())

    @BOTH
    @pytest.mark.rule("S-35")
    def test_a_goodbye_is_answered_and_counts_once(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                await line.tell_all(agent)
                for _ in range(2):
                    reply = await line.exchange(agent.message(**GOODBYE))
                    assert parts_of(reply) == {"instance_uid", "capabilities"}
                row = await row_of(agent)
                assert (row.connected, agent.uid in runtime.current().sessions.by_uid) == (False, False)
                assert len(await events_of(agent, "disconnected")) == 1
                await line.tell_all(agent)
                assert (await row_of(agent)).connected

        run(body())

    @pytest.mark.rule("S-34", transport="http")
    def test_polls_are_one_stay_and_end_with_silence(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            line = Line("http")
            await line.tell_all(agent)
            await line.exchange(agent.message(health=opamp_pb2.ComponentHealth()))
            stays = ConnectionRecord.objects.filter(agent__instance_uid=agent.uid, disconnected_at=None)
            assert await sync_to_async(stays.count)() == 1
            await lose_memory()
            await line.exchange(agent.message(health=opamp_pb2.ComponentHealth(healthy=True)))
            assert await sync_to_async(stays.count)() == 1

        run(body())
