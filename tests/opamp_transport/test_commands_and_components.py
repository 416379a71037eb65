"""Sections J and K of the checklist: the restart command, available components."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents.models import Agent, AgentCommand, ReportedDocument, ReportedState
from agents.services.commands import OBSERVATION_TIME, expire_commands, request_restart
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import COLLECTOR, FakeAgent, Socket, run
from tests.opamp_transport.conversations import (
    BOTH,
    COMPONENTS,
    FULL_STATE,
    GOODBYE,
    Line,
    events_of,
    lose_memory,
    parts_of,
    publish,
    row_of,
)

pytestmark = pytest.mark.django_db(transaction=True)
REPORTS_COMPONENTS = 0x4000


@sync_to_async
def ask_for_restart(agent: FakeAgent) -> AgentCommand:
    """An operator presses the button."""
    return request_restart(Agent.objects.get(instance_uid=agent.uid), by=None, at=timezone.now())


@sync_to_async
def pretend_it_was_asked(*, ago: timedelta) -> None:
    """Move all questions for component maps into the past."""
    state = ReportedState.objects.get()
    at = (timezone.now() - ago).isoformat()
    state.components_asked = {name: [times, at] for name, (times, _) in state.components_asked.items()}
    state.save(update_fields=["components_asked"])


async def outcomes(agent: FakeAgent) -> list[str]:
    """What the timeline says of the command."""
    return [data["outcome"] for _, data in await events_of(agent, "command")]


class TestRestart:
    @BOTH
    @pytest.mark.rule("S-96", "S-97")
    def test_alone_and_once_and_what_else_is_due_follows(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                await line.tell_all(agent)
                await line.exchange(agent.message(**GOODBYE))
                await ask_for_restart(agent)
                wanted = await publish()
                agent.sequence_num += 5
                first = await line.exchange(agent.message())
                assert parts_of(first) == {"instance_uid", "capabilities", "command"}
                assert first.SerializeToString().endswith(b"\x4a\x00")
                second = await line.hear(agent)
                assert (second.HasField("command"), second.remote_config.config_hash) == (False, wanted)
                for _ in range(3):
                    assert not (await line.exchange(agent.message())).HasField("command")

        run(body())

    @BOTH
    @pytest.mark.rule("S-96")
    def test_never_to_an_agent_that_takes_none(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                await line.tell_all(agent)
                await line.exchange(agent.message(**GOODBYE))
                await ask_for_restart(agent)
                agent.capabilities &= ~0x400
                for _ in range(2):
                    assert not (await line.exchange(agent.message())).HasField("command")

        run(body())

    @BOTH
    @pytest.mark.rule("S-97")
    @pytest.mark.parametrize("seen_by", ["start time", "sequence"])
    def test_its_effect_is_observed_and_told(self, transport: str, seen_by: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                await line.tell_all(agent)
                await line.exchange(agent.message())
                command = await ask_for_restart(agent)
                assert (await line.hear(agent)).HasField("command")
                assert await outcomes(agent) == ["pending", "sent"]
                if seen_by == "start time":
                    later = opamp_pb2.ComponentHealth(healthy=True, start_time_unix_nano=1_700_000_100 * 10**9)
                    await line.exchange(agent.message(health=later))
                else:
                    agent.sequence_num = -1
                    await line.tell_all(agent)
                await sync_to_async(command.refresh_from_db)()
                assert (command.outcome, command.outcome_at is not None) == ("done", True)
                assert await outcomes(agent) == ["pending", "sent", "done"]

        run(body())

    @BOTH
    @pytest.mark.rule("S-97")
    def test_without_effect_it_expires_and_is_not_sent_again(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                await line.tell_all(agent)
                command = await ask_for_restart(agent)
                assert (await line.hear(agent)).HasField("command")
                await line.exchange(agent.message(health=agent.full_parts()["health"]))
                assert await sync_to_async(expire_commands)(at=timezone.now()) == 0
                after = timezone.now() + OBSERVATION_TIME + timedelta(seconds=1)
                assert await sync_to_async(expire_commands)(at=after) == 1
                await sync_to_async(command.refresh_from_db)()
                assert (command.outcome, await outcomes(agent)) == ("expired", ["pending", "sent", "expired"])
                assert not (await line.exchange(agent.message())).HasField("command")

        run(body())

    @pytest.mark.rule("S-97", "S-110", transport="http")
    def test_a_retry_does_not_restart_the_agent_twice(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            line = Line("http")
            await line.tell_all(agent)
            await ask_for_restart(agent)
            message = agent.message()
            assert (await line.exchange(message)).HasField("command")
            assert not (await line.exchange(message)).HasField("command")
            await lose_memory()
            assert not (await line.exchange(message)).HasField("command")

        run(body())


def components(hash_: bytes, *names: str) -> dict[str, Any]:
    """A component map two levels deep, or, without names, its hash alone."""
    message = opamp_pb2.AvailableComponents(hash=hash_)
    for name in names:
        child = message.components["receivers"].sub_component_map[name]
        child.metadata.add(key="code.namespace").value.string_value = f"example.com/{name}"
    return {"available_components": message}


class TestAvailableComponents:
    @BOTH
    @pytest.mark.rule("S-98", "S-99")
    def test_asked_for_once_for_each_hash_and_kept_with_its_children(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=COLLECTOR | REPORTS_COMPONENTS)
            async with Line(transport) as line:
                assert (await line.tell_all(agent, **components(b"1"))).flags == COMPONENTS
                assert not (await line.exchange(agent.message(**components(b"1", "otlp")))).flags
                assert not (await line.exchange(agent.message(**components(b"1")))).flags
                content = (await row_of(agent)).reported.components.content
                child = content["receivers"]["components"]["otlp"]
                assert child == {"metadata": {"code.namespace": "example.com/otlp"}}
                assert (await line.exchange(agent.message(**components(b"2")))).flags == COMPONENTS
                assert (await row_of(agent)).reported.components is None

        run(body())

    @BOTH
    @pytest.mark.rule("S-98")
    def test_one_that_names_a_hash_and_never_tells_is_asked_with_doubling_pauses(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=COLLECTOR | REPORTS_COMPONENTS)

            async def is_asked(hash_: bytes) -> bool:
                """Over a connection of its own, answered by a process of its own."""
                await lose_memory()
                async with Line(transport) as line:
                    replies = [await line.exchange(agent.message(**components(hash_))) for _ in range(3)]
                    await line.exchange(agent.message(**GOODBYE))
                assert not any(reply.flags & COMPONENTS for reply in replies[1:])
                return bool(replies[0].flags & COMPONENTS)

            async with Line(transport) as line:
                await line.tell_all(agent)
            assert await is_asked(b"1")
            for minutes in (1, 2, 4):
                assert not await is_asked(b"1")
                await pretend_it_was_asked(ago=timedelta(minutes=minutes))
                assert await is_asked(b"1")
            assert await is_asked(b"2")
            assert not await is_asked(b"1")
            for number in range(20):
                await is_asked(b"many %d" % number)
            assert len((await row_of(agent)).reported.components_asked) == 8

        run(body())

    @pytest.mark.rule("S-98", transport="http")
    def test_a_retried_poll_is_asked_again(self) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=COLLECTOR | REPORTS_COMPONENTS)
            line = Line("http")
            message = agent.message(**agent.full_parts(), **components(b"1"))
            for _ in range(2):
                assert (await line.exchange(message)).flags == COMPONENTS
            assert not (await line.exchange(agent.message(**components(b"1")))).flags

        run(body())

    @BOTH
    @pytest.mark.rule("S-98")
    def test_not_from_an_agent_that_does_not_report_them(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                assert not (await line.tell_all(agent, **components(b"1"))).flags

        run(body())

    @BOTH
    @pytest.mark.rule("S-99")
    def test_a_map_is_shared_by_all_agents_with_its_hash_and_outlives_reconnects(self, transport: str) -> None:
        async def body() -> None:
            one, two = (FakeAgent(capabilities=COLLECTOR | REPORTS_COMPONENTS) for _ in range(2))
            async with Line(transport) as line:
                await line.tell_all(one, **components(b"1", "otlp"))
                assert not (await line.tell_all(two, **components(b"1"))).flags
                assert (await row_of(two)).reported.components_id == (await row_of(one)).reported.components_id
                kept = ReportedDocument.objects.filter(kind=ReportedDocument.Kind.COMPONENTS)
                assert await sync_to_async(kept.count)() == 1
                await line.exchange(two.message(**GOODBYE))
            await lose_memory()
            async with Line(transport) as line:
                assert not (await line.tell_all(two, **components(b"1"))).flags

        run(body())

    @BOTH
    @pytest.mark.rule("S-99")
    def test_a_map_that_comes_unasked_is_taken(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=COLLECTOR | REPORTS_COMPONENTS)
            async with Line(transport) as line:
                assert (await line.exchange(agent.message())).flags & FULL_STATE
                assert not (await line.tell_all(agent, **components(b"1", "otlp"))).flags
                assert "receivers" in (await row_of(agent)).reported.components.content

        run(body())

    @pytest.mark.rule("S-99", transport="websocket")
    def test_a_later_map_under_the_same_hash_replaces_the_earlier(self) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=COLLECTOR | REPORTS_COMPONENTS)
            async with Socket() as socket:
                await socket.exchange(agent.message(**agent.full_parts(), **components(b"1", "otlp")))
                await socket.exchange(agent.message(**components(b"1", "otlp", "hostmetrics")))
                content = (await row_of(agent)).reported.components.content
                assert set(content["receivers"]["components"]) == {"otlp", "hostmetrics"}

        run(body())
