"""Section I of the checklist: custom capabilities and messages, and the apps that take them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents import extensions
from agents.models import Agent, AgentCommand
from agents.reports import CustomMessage
from agents.services.commands import CannotBeSent, send_custom_message
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import FakeAgent, run
from tests.opamp_transport.conversations import (
    BOTH,
    GOODBYE,
    Line,
    events_of,
    is_known,
    lose_memory,
    processed,
    publish,
    row_of,
)

pytestmark = pytest.mark.django_db(transaction=True)
ECHO, OTHER = "com.example.echo/1", "com.example.other"


@pytest.fixture
def taken() -> Iterator[list[CustomMessage]]:
    """An app that takes ``ECHO`` messages and sends each back."""
    messages: list[CustomMessage] = []

    def receive(_agent: Any, message: CustomMessage, _at: datetime) -> CustomMessage:
        messages.append(message)
        return CustomMessage(ECHO, "back", message.data)

    extensions.register_custom_capability(ECHO, receive)
    yield messages
    extensions.unregister_custom_capability(ECHO)


def lists(*names: str) -> dict[str, Any]:
    """The agent's own list."""
    return {"custom_capabilities": opamp_pb2.CustomCapabilities(capabilities=names)}


def says(data: bytes, capability: str = ECHO) -> dict[str, Any]:
    """A custom message of the agent."""
    return {"custom_message": opamp_pb2.CustomMessage(capability=capability, type="ask", data=data)}


@sync_to_async
def send(agent: FakeAgent, data: bytes, capability: str = ECHO) -> AgentCommand:
    """An operator sends a message."""
    row = Agent.objects.select_related("reported").get(instance_uid=agent.uid)
    return send_custom_message(row, capability=capability, message_type="t", data=data, by=None, at=timezone.now())


class TestCapabilities:
    @BOTH
    @pytest.mark.rule("S-93")
    def test_the_servers_list_is_told_once_and_when_it_changes(
        self, transport: str, taken: list[CustomMessage]
    ) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                assert list((await line.tell_all(agent)).custom_capabilities.capabilities) == [ECHO]
                assert not (await line.exchange(agent.message())).HasField("custom_capabilities")
                extensions.register_custom_capability(OTHER, lambda *_: None)
                assert list((await line.exchange(agent.message())).custom_capabilities.capabilities) == [ECHO, OTHER]
                extensions.unregister_custom_capability(OTHER)
                assert list((await line.exchange(agent.message())).custom_capabilities.capabilities) == [ECHO]
                assert not (await line.exchange(agent.message())).HasField("custom_capabilities")
            await lose_memory()
            async with Line(transport) as line:
                assert list((await line.exchange(agent.message())).custom_capabilities.capabilities) == [ECHO]

        run(body())

    @BOTH
    @pytest.mark.rule("S-93")
    def test_the_agents_list_is_kept_when_absent_and_emptied_when_empty(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                assert not (await line.tell_all(agent, **lists(ECHO, OTHER))).HasField("custom_capabilities")
                await line.exchange(agent.message(health=opamp_pb2.ComponentHealth()))
                assert (await row_of(agent)).reported.custom_capabilities == [ECHO, OTHER]
                await line.exchange(agent.message(**lists()))
                assert (await row_of(agent)).reported.custom_capabilities == []

        run(body())


class TestFromTheServer:
    @BOTH
    @pytest.mark.rule("S-94")
    def test_only_for_a_capability_the_agent_lists_now(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                await line.tell_all(agent, **lists(ECHO))
                with pytest.raises(CannotBeSent, match="does not list"):
                    await send(agent, b"1", OTHER)
                await line.exchange(agent.message(**GOODBYE))
                command = await send(agent, b"1")
                assert not (await line.exchange(agent.message(**lists(OTHER)))).HasField("custom_message")
                await sync_to_async(command.refresh_from_db)()
                assert command.outcome == AgentCommand.Outcome.CANCELLED
                assert (await events_of(agent, "command"))[-1][1]["outcome"] == "cancelled"

        run(body())

    @BOTH
    @pytest.mark.rule("S-95")
    def test_one_at_a_time_in_order_and_byte_by_byte(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            sent = [bytes([number, 0, 255]) for number in range(4)]
            async with Line(transport) as line:
                await line.tell_all(agent, **lists(ECHO))
                await line.exchange(agent.message(**GOODBYE))
                for data in sent:
                    await send(agent, data)
                heard = [(await line.exchange(agent.message())).custom_message]
                heard += [(await line.hear(agent)).custom_message for _ in sent[1:]]
                assert [(item.capability, item.type, item.data) for item in heard] == [
                    (ECHO, "t", data) for data in sent
                ]
                assert await line.nothing_comes(agent)

        run(body())


class TestFromTheAgent:
    @BOTH
    @pytest.mark.rule("S-94", "S-95")
    def test_whoever_registered_gets_it_and_may_answer(self, transport: str, taken: list[CustomMessage]) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                await line.tell_all(agent, **lists(ECHO))
                await line.exchange(agent.message(**says(b"\x00\xff")))
                back = (await line.hear(agent)).custom_message
                assert (back.capability, back.type, back.data) == (ECHO, "back", b"\x00\xff")
                assert taken == [CustomMessage(ECHO, "ask", b"\x00\xff")]
                [(_, line_of_it)] = await events_of(agent, "custom_message")
                assert line_of_it == {"capability": ECHO, "type": "ask", "size": 2, "data_base64": "AP8="}

        run(body())

    @BOTH
    @pytest.mark.rule("S-94")
    def test_an_unsupported_one_is_ignored_without_error(self, transport: str, taken: list[CustomMessage]) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                await line.tell_all(agent)
                reply = await line.exchange(agent.message(**says(b"x" * 100_000, OTHER)))
                assert not reply.HasField("error_response")
                await processed()
                assert taken == []
                [(_, told)] = await events_of(agent, "custom_message")
                assert (told["size"], len(base64.b64decode(told["data_base64"]))) == (100_000, 2048)

        run(body())

    @BOTH
    @pytest.mark.rule("S-94", "S-111")
    def test_a_receiver_that_raises_costs_the_report_nothing(self, transport: str) -> None:
        def break_down(agent: Agent, _message: CustomMessage, _at: datetime) -> None:
            agent.delete()
            raise ValueError("no idea what this is")

        extensions.register_custom_capability(ECHO, break_down)

        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                reply = await line.exchange(agent.message(**agent.full_parts(), **says(b"1")))
                assert reply.remote_config.config_hash == wanted
                await processed()
                assert await is_known(agent)
                assert "no idea" in (await events_of(agent, "custom_message"))[-1][1]["failed"]
                assert not (await line.exchange(agent.message())).flags

        try:
            run(body())
        finally:
            extensions.unregister_custom_capability(ECHO)
