"""Section B of the checklist: uids, connections, and who belongs to which."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from accounts.models import AuditEntry
from agents.models import Agent, ConnectionRecord
from agents.services import duplicate_uids
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
    parts_of,
    processed,
    publish,
    row_of,
)

pytestmark = pytest.mark.django_db(transaction=True)
ASKS_FOR_UID = opamp_pb2.AgentToServerFlags_RequestInstanceUid


@sync_to_async
def assign(agent: FakeAgent) -> UUID:
    """An operator gives the agent another uid."""
    return assign_instance_uid(Agent.objects.get(instance_uid=agent.uid), by=None, at=timezone.now())


def new_uid(reply: opamp_pb2.ServerToAgent) -> UUID:
    """The uid that a reply assigns."""
    return UUID(bytes=reply.agent_identification.new_instance_uid)


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


class TestDuplicates:
    """Two agents under one uid (S-31), and what must not be taken for them (S-32)."""

    @pytest.mark.rule("S-31", transport="websocket")
    def test_two_counters_on_two_sockets_are_two_agents(self) -> None:
        async def body() -> None:
            first = FakeAgent()
            second = FakeAgent(first.uid)
            second.sequence_num = 70
            async with Line("websocket", address="10.0.0.1") as one, Line("websocket", address="10.0.0.2") as two:
                await one.tell_all(first)
                await two.tell_all(second, health=opamp_pb2.ComponentHealth(healthy=False))
                first.sequence_num = 200
                assert parts_of(await one.exchange(first.message())) == {"instance_uid", "capabilities"}
                reply = await two.exchange(second.message())
                assigned = new_uid(reply)
                assert (reply.instance_uid, assigned.version) == (first.uid.bytes, 7)
                # Whoever does not take the new uid hears of it again, and cannot speak for the other one.
                assert new_uid(await two.exchange(second.message())) == assigned
                assert (await one.exchange(first.message())).flags & FULL_STATE
                await one.tell_all(first)
                row = await row_of(first)
                assert (row.remote_address, row.healthy, row.connected) == ("10.0.0.1", True, True)
                second.uid = assigned
                assert (await two.exchange(second.message())).flags & FULL_STATE
                await two.tell_all(second, health=opamp_pb2.ComponentHealth(healthy=False))
                other = await row_of(second)
                assert (other.remote_address, other.healthy, other.pk != row.pk) == ("10.0.0.2", False, True)
                [(_, told)] = await events_of(first, "identity")
                assert told == {"duplicate": True, "kept": "10.0.0.1", "moved": "10.0.0.2", "new": str(assigned)}
                changed = await publish(selector={"os.type": "linux"})
                for agent, line in ((first, one), (second, two)):
                    assert (await line.hear(agent)).remote_config.config_hash == changed

        run(body())

    @pytest.mark.rule("S-31", transport="websocket")
    def test_two_fresh_clones_are_told_apart_by_talking_in_turn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(duplicate_uids, "GRACE", timedelta(0))

        async def body() -> None:
            first = FakeAgent()
            second = FakeAgent(first.uid)
            async with Line("websocket") as one, Line("websocket") as two:
                await one.tell_all(first)
                await two.tell_all(second)
                for _ in range(2):
                    await one.exchange(first.message())
                    reply = await two.exchange(second.message())
                assert new_uid(reply).version == 7
                assert (await one.exchange(first.message())).flags & FULL_STATE

        run(body())

    @pytest.mark.rule("S-31", transport="http")
    def test_two_series_of_numbers_from_two_addresses_are_two_agents(self) -> None:
        async def body() -> None:
            first = FakeAgent()
            second = FakeAgent(first.uid)
            second.sequence_num = 70
            one, two = Line("http", address="10.0.0.1"), Line("http", address="10.0.0.2")
            await one.tell_all(first)
            await two.tell_all(second)
            for _ in range(2):
                assert not (await one.exchange(first.message())).HasField("agent_identification")
                reply = await two.exchange(second.message())
            assigned = new_uid(reply)
            assert (await one.exchange(first.message())).flags & FULL_STATE
            await one.tell_all(first)
            second.uid = assigned
            await two.tell_all(second)
            assert ((await row_of(first)).remote_address, (await row_of(second)).remote_address) == (
                "10.0.0.1",
                "10.0.0.2",
            )
            [(_, told)] = await events_of(first, "identity")
            assert (told["kept"], told["moved"]) == ("10.0.0.1", "10.0.0.2")

        run(body())

    @pytest.mark.rule("S-31", "S-32", transport="http")
    def test_an_agent_that_polls_from_two_addresses_is_one_agent(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            await Line("http", address="10.0.0.1").tell_all(agent)
            for turn in range(8):
                line = Line("http", address=f"10.0.0.{turn % 2 + 1}")
                health = opamp_pb2.ComponentHealth(healthy=bool(turn % 2))
                assert not (await line.exchange(agent.message(health=health))).HasField("agent_identification")

        run(body())

    @pytest.mark.defect(5)
    @pytest.mark.rule("S-31", "S-32", transport="websocket")
    def test_late_messages_of_the_old_socket_change_nothing_and_are_no_duplicate(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with AsyncExitStack() as stack:
                old = Line("websocket")
                async with old:
                    new = await stack.enter_async_context(Line("websocket"))
                    await old.tell_all(agent)
                    late = [agent.message(health=opamp_pb2.ComponentHealth(healthy=False)) for _ in range(3)]
                    assert (await new.exchange(agent.message())).flags & FULL_STATE
                    for message in late:
                        assert parts_of(await old.exchange(message)) == {"instance_uid", "capabilities"}
                        assert not (await new.exchange(agent.message())).HasField("agent_identification")
                    assert (await row_of(agent)).healthy
                await processed()
                await new.tell_all(agent)
                for _ in range(3):
                    assert not (await new.exchange(agent.message())).HasField("agent_identification")
                assert (await row_of(agent)).connected

        run(body())

    @pytest.mark.rule("S-31", "S-32", transport="websocket")
    def test_a_restarted_agent_whose_old_socket_still_delivers_is_no_duplicate(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with AsyncExitStack() as stack:
                old = Line("websocket")
                async with old:
                    new = await stack.enter_async_context(Line("websocket"))
                    await old.tell_all(agent)
                    late = agent.message(**GOODBYE)
                    agent.sequence_num = -1
                    await new.tell_all(agent)
                    await old.exchange(late)
                    assert not (await new.exchange(agent.message())).HasField("agent_identification")
                await processed()
                assert not (await new.exchange(agent.message())).HasField("agent_identification")
                assert (await row_of(agent)).connected

        run(body())

    @pytest.mark.rule("S-32", "S-33", transport="websocket")
    def test_an_agent_that_a_gateway_moves_to_an_older_connection_goes_with_it(self) -> None:
        async def body() -> None:
            moving, staying = FakeAgent(), FakeAgent()
            async with Line("websocket") as older, Line("websocket") as newer:
                await older.tell_all(staying)
                await newer.tell_all(moving)
                await older.exchange(moving.message(health=opamp_pb2.ComponentHealth(healthy=False)))
                assert (await row_of(moving)).healthy is False
                changed = await publish(selector={"os.type": "linux"})
                assert (await older.hear(moving)).remote_config.config_hash == changed

        run(body())

    @pytest.mark.rule("S-32", transport="websocket")
    def test_a_connection_that_is_overtaken_before_its_first_word_takes_nothing(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line("websocket") as old, Line("websocket") as new:
                late = agent.message(health=opamp_pb2.ComponentHealth(healthy=False))
                await new.tell_all(agent)
                assert parts_of(await old.exchange(late)) == {"instance_uid", "capabilities"}
                assert (await row_of(agent)).healthy
                changed = await publish(selector={"os.type": "linux"})
                assert (await new.hear(agent)).remote_config.config_hash == changed

        run(body())

    @pytest.mark.rule("S-31", "S-32", transport="websocket")
    def test_what_a_displaced_connection_goes_on_saying_is_not_lost(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(duplicate_uids, "GRACE", timedelta(0))

        async def body() -> None:
            first = FakeAgent()
            second = FakeAgent(first.uid)
            async with Line("websocket", address="10.0.0.1") as one, Line("websocket", address="10.0.0.2") as two:
                await one.tell_all(first)
                await two.tell_all(second)
                # The newer one is silent from now on, as agents without heartbeats are.
                await one.exchange(first.message())
                assert (await one.exchange(first.message())).flags & FULL_STATE
                await one.tell_all(first, health=opamp_pb2.ComponentHealth(healthy=False))
                row = await row_of(first)
                assert (row.remote_address, row.healthy) == ("10.0.0.1", False)
                for _ in range(3):
                    reply = await two.exchange(second.message())
                    assert not (await one.exchange(first.message())).HasField("agent_identification")
                assert new_uid(reply).version == 7
                assert (await row_of(first)).remote_address == "10.0.0.1"

        run(body())

    @pytest.mark.rule("S-32", transport="websocket")
    def test_the_last_connection_wins_and_gets_the_pushes(self) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            async with Line("websocket") as old, Line("websocket") as new:
                await old.tell_all(agent)
                await new.exchange(agent.message())
                changed = await publish()
                assert (await new.hear(agent)).remote_config.config_hash == changed
                assert await old.nothing_comes(agent)

        run(body())

    @pytest.mark.rule("S-32", transport="http")
    def test_polls_win_over_a_socket_that_is_still_open(self) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            async with Line("websocket") as old:
                await old.tell_all(agent)
                await Line("http").exchange(agent.message())
                assert (await row_of(agent)).transport == "http"
                changed = await publish()
                assert (await Line("http").hear(agent)).remote_config.config_hash == changed
            await processed()
            assert (await row_of(agent)).connected

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
