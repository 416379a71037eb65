"""A process among others: it takes back what was taken from it, leads or follows, and sends its agents away at the end."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.utils import timezone

from agents.models import Agent, AgentEvent, AgentPresence, ServerProcess
from agents.reports import StatusReport
from agents.services import commands, leases, processes, retention
from agents.services.arrivals import Arrival
from foundation.clock import Reading, clock
from opamp_transport import runtime
from opamp_transport.consumers import WebSocketConsumer
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import FakeAgent, Socket, eventually, poll, post, run

pytestmark = pytest.mark.django_db(transaction=True)
_DAYS = 1_000


@sync_to_async
def is_connected(agent: FakeAgent) -> bool:
    """What the portal shows."""
    return Agent.objects.get(instance_uid=agent.uid).connected


@sync_to_async
def taken_for_dead() -> None:
    """Another process has not seen this one beat for long."""
    for row in ServerProcess.objects.all():
        leases.expire_process(row.id, beat_at=row.beat_at, at=timezone.now())


async def beating() -> runtime.Runtime:
    """The runtime, after its first beat."""
    here = runtime.current()
    await eventually(sync_to_async(ServerProcess.objects.filter(id=here.process_id).exists))
    return here


class TestTakenForDead:
    @pytest.mark.rule("S-34", transport="websocket")
    def test_the_next_beat_takes_silent_agents_back(self) -> None:
        async def body() -> None:
            here = await beating()
            agent = FakeAgent()
            async with Socket() as socket:
                await socket.exchange(agent.message(**agent.full_parts()))
                await taken_for_dead()
                assert not await is_connected(agent)
                await here.beat()
                assert await is_connected(agent)
                # Nothing was asked of the agent, and its sequence goes on.
                assert not (await socket.exchange(agent.message())).flags

        run(body())

    def test_a_connection_that_closed_meanwhile_stays_closed(self) -> None:
        async def body() -> None:
            here = await beating()
            agent = FakeAgent()
            async with Socket() as socket:
                await socket.exchange(agent.message(**agent.full_parts()))
                await taken_for_dead()
            await here.report_queue.drain()
            await here.beat()
            assert not await is_connected(agent)

        run(body())

    @pytest.mark.parametrize("transport", ["websocket", "http"])
    def test_a_heartbeat_takes_its_agent_back(self, transport: str) -> None:
        async def body() -> None:
            here = await beating()
            agent = FakeAgent()
            async with Socket() as socket:
                talk = socket.exchange if transport == "websocket" else poll
                await talk(agent.message(**agent.full_parts()))
                await here.flush_presence()
                await sync_to_async(Agent.objects.update)(connected=False)
                await talk(agent.message())
                await here.flush_presence()
                # Seen to be amiss; what it says next is written down whatever it is.
                await talk(agent.message())
                assert await is_connected(agent)

        run(body())

    def test_an_agent_that_took_its_leave_is_not_taken_back(self) -> None:
        async def body() -> None:
            here = await beating()
            agent = FakeAgent()
            await poll(agent.message(**agent.full_parts()))
            await poll(agent.message())
            await poll(agent.message(agent_disconnect=opamp_pb2.AgentDisconnect()))
            await here.flush_presence()
            assert not await is_connected(agent)

        run(body())


class TestPresence:
    @pytest.mark.parametrize("meanwhile", [False, True], ids=["silent", "heard again"])
    def test_a_batch_that_could_not_be_written_is_written_with_the_next(
        self, monkeypatch: pytest.MonkeyPatch, meanwhile: bool
    ) -> None:
        """Nothing is lost and nothing comes twice, whatever was heard in between."""
        batches: list[list[int]] = []
        really = leases.note_sightings

        def first_fails(sightings: Sequence[leases.Sighting], *, at: datetime) -> leases.WrittenSightings:
            batches.append([item.sequence_num for item in sightings])
            if len(batches) == 1:
                raise OperationalError("the connection is gone")
            return really(sightings, at=at)

        @sync_to_async
        def number(agent: FakeAgent) -> int:
            return int(AgentPresence.objects.get(agent__instance_uid=agent.uid).sequence_num)

        async def body() -> None:
            here = await beating()
            agent = FakeAgent()
            async with Socket() as socket:
                await socket.exchange(agent.message(**agent.full_parts()))
                await here.report_queue.drain()
                await here.flush_presence()
                monkeypatch.setattr(leases, "note_sightings", first_fails)
                recorded = await number(agent)
                await socket.exchange(agent.message())
                with pytest.raises(OperationalError):
                    await here.flush_presence()
                assert await number(agent) == recorded
                if meanwhile:
                    await socket.exchange(agent.message())
                await here.flush_presence()
                await here.flush_presence()
                last = recorded + 1 + meanwhile
                assert await number(agent) == last
                assert batches == [[recorded + 1], [last]]

        run(body())


class TestLead:
    def test_only_the_leader_expires(self) -> None:
        async def body() -> None:
            here = await beating()
            await eventually(sync_to_async(lambda: here.leads))
            agent = FakeAgent()
            await poll(agent.message(**agent.full_parts()))
            await sync_to_async(processes.retire)(here.process_id)
            assert await sync_to_async(processes.lead)("another", at=timezone.now())
            await here.expire()
            assert not here.leads

        run(body())

    def test_only_the_leader_prunes(self) -> None:
        async def body() -> None:
            here = await beating()
            agent = FakeAgent()
            await poll(agent.message(**agent.full_parts()))
            old = timezone.now() - timedelta(days=_DAYS)
            await sync_to_async(AgentEvent.objects.update)(at=old)
            count = sync_to_async(AgentEvent.objects.filter(at=old).count)
            here.leads = False
            await here.prune()
            assert await count() > 0
            here.leads = True
            await here.prune()
            assert await count() == 0

        run(body())


def jumped(by: timedelta) -> None:
    """The clock of the database stands elsewhere than it should."""
    clock.follow(Reading(clock.now() - by, time.monotonic(), 0.0))


class TestClock:
    def test_a_beat_notices_a_jump_and_deadlines_wait_for_their_renewal(self, caplog: pytest.LogCaptureFixture) -> None:
        async def body() -> None:
            here = await beating()
            await eventually(sync_to_async(lambda: here.leads))
            jumped(timedelta(hours=1))
            await here.beat()
            assert "the clock jumped" in caplog.text
            assert abs(clock.now() - timezone.now()) < timedelta(seconds=5)
            agent = FakeAgent()
            await poll(agent.message(**agent.full_parts()))
            await here.flush_presence()
            long_ago = timezone.now() - timedelta(hours=1)
            await sync_to_async(AgentPresence.objects.update)(last_seen_at=long_ago, expires_at=long_ago)
            await here.expire()
            assert await is_connected(agent)

        run(body())

    def test_a_restart_under_way_is_not_given_up_after_a_jump(self) -> None:
        async def body() -> None:
            here = await beating()
            await eventually(sync_to_async(lambda: here.leads))
            agent = FakeAgent()
            await poll(agent.message(**agent.full_parts()))
            row = await sync_to_async(Agent.objects.get)(instance_uid=agent.uid)
            command = await sync_to_async(commands.request_restart)(row, by=None, at=timezone.now())
            assert await sync_to_async(commands.take)(command, at=timezone.now() - timedelta(hours=1))
            jumped(timedelta(hours=1))
            await here.beat()
            await here.expire()
            await sync_to_async(command.refresh_from_db)()
            assert command.outcome == "sent"

        run(body())

    @pytest.mark.parametrize("by", [timedelta(days=_DAYS), -timedelta(days=_DAYS)])
    def test_nothing_is_pruned_by_a_clock_that_has_just_jumped(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, by: timedelta
    ) -> None:
        async def body() -> None:
            here = await beating()
            agent = FakeAgent()
            await poll(agent.message(**agent.full_parts()))
            old = timezone.now() - timedelta(days=_DAYS)
            await sync_to_async(AgentEvent.objects.update)(at=old)
            count = sync_to_async(AgentEvent.objects.filter(at=old).count)
            jumped(by)
            await here.beat()
            here.leads = True
            await here.prune()
            assert await count() > 0
            assert "nothing is pruned" in caplog.text
            monkeypatch.setattr(retention, "DOUBT_SECONDS", 0.0)
            await here.prune()
            assert await count() == 0

        run(body())

    def test_nothing_is_pruned_by_a_clock_that_is_behind_the_newest_event(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def body() -> None:
            here = await beating()
            agent = FakeAgent()
            await poll(agent.message(**agent.full_parts()))
            old, ahead = (timezone.now() + days * timedelta(days=_DAYS) for days in (-1, 1))
            row = await sync_to_async(Agent.objects.get)(instance_uid=agent.uid)
            await sync_to_async(AgentEvent.objects.update)(at=old)
            late = await sync_to_async(AgentEvent.objects.create)(agent=row, at=ahead, kind=AgentEvent.Kind.HEALTH)
            count = sync_to_async(AgentEvent.objects.filter(at=old).count)
            here.leads = True
            await here.prune()
            assert await count() > 0
            assert "nothing is pruned" in caplog.text
            await sync_to_async(late.delete)()
            await here.prune()
            assert await count() == 0

        run(body())


class TestChores:
    def test_a_mistake_in_one_run_does_not_end_a_chore(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        begun: list[None] = []

        async def mistaken(_runtime: runtime.Runtime) -> None:
            begun.append(None)
            raise ZeroDivisionError

        async def twice() -> bool:
            return len(begun) >= 2

        monkeypatch.setattr(runtime.Runtime, "beat", mistaken)
        monkeypatch.setattr(runtime, "BEAT_SECONDS", 0.01)

        async def body() -> None:
            runtime.current()
            await eventually(twice)

        run(body())
        assert "chore failed by a mistake" in caplog.text


class TestEnd:
    def test_agents_are_sent_away_and_newcomers_told_to_wait(self) -> None:
        async def body() -> None:
            here = await beating()
            agents = [FakeAgent() for _ in range(3)]
            async with Socket() as first, Socket() as second, Socket() as third:
                sockets = (first, second, third)
                for socket, agent in zip(sockets, agents, strict=True):
                    await socket.exchange(agent.message(**agent.full_parts()))
                await here.send_away()
                for socket in sockets:
                    closed = await socket.communicator.receive_output(5)
                    assert (closed["type"], closed["code"]) == ("websocket.close", 1012)
                answer = await post(FakeAgent().message().SerializeToString())
                assert answer.status == 503
                assert int(answer.headers["retry-after"]) >= 30

        run(body())

    def test_many_are_sent_away_one_slice_after_another(self) -> None:
        async def body() -> None:
            here = await beating()
            loop = asyncio.get_running_loop()
            hung_up: list[tuple[int, float]] = []

            class Peer:
                def __init__(self, number: int) -> None:
                    self.number = number

                async def close(self) -> None:
                    hung_up.append((self.number, loop.time()))

            here.sessions.connections = {Peer(number) for number in range(150)}  # type: ignore[misc]
            await here.send_away()
            here.sessions.connections = set()
            numbers, moments = zip(*hung_up, strict=True)
            assert sorted(numbers) == list(range(150))
            assert list(numbers) != sorted(numbers)
            assert max(moments) - min(moments) >= 1.3
            assert max(Counter(round(moment, 2) for moment in moments).values()) <= 20

        run(body())


def test_nobody_keeps_the_messages_of_a_batch_that_is_processed() -> None:
    """They may be large, and a server may be idle for long."""

    def kept() -> bool:
        return any(isinstance(known, Arrival | StatusReport) for known in gc.get_objects())

    async def body() -> None:
        here = await beating()
        agent = FakeAgent()
        async with Socket() as socket:
            gc.disable()
            try:
                await socket.exchange(agent.message(**agent.full_parts()))
                await here.report_queue.drain()
                await eventually(sync_to_async(lambda: not kept()))
            finally:
                gc.enable()

    run(body())


def test_a_door_is_freed_when_its_connection_has_closed() -> None:
    """Without collecting garbage: agents that reconnect all day would else fill the memory."""

    def kept() -> bool:
        return any(isinstance(known, WebSocketConsumer) for known in gc.get_objects())

    async def body() -> None:
        here = await beating()
        agent = FakeAgent()
        gc.collect()
        gc.disable()
        try:
            async with Socket() as socket:
                await socket.exchange(agent.message(**agent.full_parts()))
                assert kept()
            del socket
            await here.report_queue.drain()
            await here.flush_presence()
            await eventually(sync_to_async(lambda: not kept()))
        finally:
            gc.enable()

    run(body())
