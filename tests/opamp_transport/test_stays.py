"""How long agents are connected, and what is known of them meanwhile: sequence numbers, leases, closings, expiry."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents.models import ConnectionRecord
from agents.services.editing import forget_agents
from agents.services.leases import expire_agents
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import (
    FakeAgent,
    Socket,
    eventually,
    poll,
    run,
)
from tests.opamp_transport.conversations import FULL_STATE, event_kinds, processed, publish, row_of

pytestmark = pytest.mark.django_db(transaction=True)


class TestSequence:
    """Status compression and its gaps."""

    @pytest.mark.defect(13)
    @pytest.mark.rule("S-42", "S-44")
    def test_a_gap_asks_once_for_the_full_state(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Socket() as socket:
                assert not (await socket.exchange(agent.message(**agent.full_parts()))).flags
                agent.sequence_num += 3
                assert (await socket.exchange(agent.message())).flags & FULL_STATE
                agent.sequence_num += 3
                assert not (await socket.exchange(agent.message())).flags & FULL_STATE
                assert not (await socket.exchange(agent.message(**agent.full_parts()))).flags
                agent.sequence_num += 3
                assert (await socket.exchange(agent.message())).flags & FULL_STATE

        run(body())

    @pytest.mark.rule("S-43", "S-48")
    def test_an_unknown_agent_that_says_little_is_asked_for_everything(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            agent.sequence_num = 41
            async with Socket() as socket:
                assert (await socket.exchange(agent.message())).flags & FULL_STATE

        run(body())

    @pytest.mark.rule("S-47")
    def test_a_restarted_agent_that_tells_all_is_not_asked_again(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Socket() as socket:
                await socket.exchange(agent.message(**agent.full_parts()))
                await socket.exchange(agent.message())
                agent.sequence_num = -1
                assert not (await socket.exchange(agent.message(**agent.full_parts()))).flags

        run(body())

    @pytest.mark.rule("S-48")
    def test_a_reconnect_that_continues_the_sequence_keeps_the_state(self) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            async with Socket() as socket:
                await socket.exchange(agent.message(**agent.full_parts()))
                await socket.exchange(agent.message())
            async with Socket() as socket:
                assert not (await socket.exchange(agent.message())).flags
                row = await row_of(agent)
                assert (row.labels["env"], row.healthy, row.connected) == ("prod", True, True)

        run(body())


class TestConnections:
    """Leases, closings, expiry."""

    @pytest.mark.defect(5)
    @pytest.mark.rule("S-32", "S-34")
    def test_the_late_close_of_an_old_socket_does_not_evict_the_new_one(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            old = Socket()
            await old.__aenter__()
            await old.exchange(agent.message(**agent.full_parts()))
            async with Socket() as new:
                await new.exchange(agent.message())
                await old.__aexit__(None, None, None)
                await processed()
                assert (await row_of(agent)).connected
                changed = await publish(selector={"os.type": "linux"})
                assert (await new.receive()).remote_config.config_hash == changed

        run(body())

    @pytest.mark.rule("S-34", "S-33")
    def test_a_closed_socket_disconnects_all_its_agents(self) -> None:
        async def body() -> None:
            agents = [FakeAgent() for _ in range(3)]
            async with Socket() as socket:
                for agent in agents:
                    reply = await socket.exchange(agent.message(**agent.full_parts()))
                    assert reply.instance_uid == agent.uid.bytes

            async def gone() -> bool:
                return not any([(await row_of(agent)).connected for agent in agents])

            await eventually(gone)
            assert (await event_kinds(agents[0]))[-1] == "disconnected"

        run(body())

    @pytest.mark.rule("S-35")
    @pytest.mark.parametrize("transport", ["websocket", "http"])
    def test_a_goodbye_disconnects_at_once_and_twice_is_once(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Socket() as socket:
                talk = socket.exchange if transport == "websocket" else poll
                await talk(agent.message(**agent.full_parts()))
                goodbye = {"agent_disconnect": opamp_pb2.AgentDisconnect()}
                assert (await talk(agent.message(**goodbye))).instance_uid == agent.uid.bytes
                assert not (await row_of(agent)).connected
                await talk(agent.message(**goodbye))
                assert (await event_kinds(agent)).count("disconnected") == 1

        run(body())

    @pytest.mark.defect(4)
    def test_http_polls_are_one_stay(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            await poll(agent.message(**agent.full_parts()))
            for healthy in (False, True, False):
                await poll(agent.message(health=opamp_pb2.ComponentHealth(healthy=healthy)))
            row = await row_of(agent)
            assert row.connected
            assert await sync_to_async(ConnectionRecord.objects.filter(agent=row).count)() == 1

        run(body())

    def test_a_silent_http_agent_expires_and_comes_back(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            await poll(agent.message(**agent.full_parts()))
            await sync_to_async(expire_agents)(at=timezone.now() + timedelta(minutes=10))
            assert not (await row_of(agent)).connected
            await poll(agent.message(health=opamp_pb2.ComponentHealth(healthy=True)))
            assert (await row_of(agent)).connected

        run(body())

    @pytest.mark.defect(6)
    @pytest.mark.rule("S-74")
    def test_a_silent_websocket_agent_stays_connected(self) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=1)
            async with Socket() as socket:
                await socket.exchange(agent.message(agent_description=agent.description()))
                await sync_to_async(expire_agents)(at=timezone.now() + timedelta(minutes=10))
                assert (await row_of(agent)).connected

        run(body())

    def test_a_forgotten_agent_registers_itself_anew(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Socket() as socket:
                await socket.exchange(agent.message(**agent.full_parts()))
                row = await row_of(agent)
                await sync_to_async(forget_agents)([row.pk], by=None)
                await processed()
                reply = await socket.exchange(agent.message())
                assert reply.flags & FULL_STATE
                assert (await row_of(agent)).pk != row.pk

        run(body())
