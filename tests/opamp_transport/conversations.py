"""What the tests of the protocol share: one way to talk over either transport, what an operator does, what is counted."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone
from prometheus_client import REGISTRY

from agents.models import Agent, AgentEvent
from agents.remote_config import ConfigFile
from configurations.models import Configuration
from configurations.services.publishing import Draft, create_configuration, update_configuration
from configurations.services.retrying import NothingToRetry, retry_offer
from opamp_transport import runtime
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import FakeAgent, Socket, post

FULL_STATE = opamp_pb2.ServerToAgentFlags_ReportFullState
COMPONENTS = opamp_pb2.ServerToAgentFlags_ReportAvailableComponents
BOTH = pytest.mark.parametrize("transport", ["websocket", "http"])
PROD = {"env": "prod"}
GOODBYE = {"agent_disconnect": opamp_pb2.AgentDisconnect()}
UNHEALTHY = opamp_pb2.ComponentHealth(healthy=False, last_error="disk full")
# What a reply that says nothing is made of.
BARE = {"instance_uid", "capabilities"}


class Line:
    """A way to the server: one socket, or polls; ``async with Line(transport) as line``."""

    def __init__(self, transport: str, headers: dict[str, str] | None = None, *, address: str = "10.0.0.1") -> None:
        self.transport = transport
        self.headers = headers
        self.address = address
        self.socket: Socket | None = None

    async def __aenter__(self) -> Self:
        if self.transport == "websocket":
            self.socket = Socket(self.headers, address=self.address)
            await self.socket.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.socket is not None:
            await self.socket.__aexit__(kind, error, trace)

    async def exchange(self, message: opamp_pb2.AgentToServer) -> opamp_pb2.ServerToAgent:
        """Send, and the answer."""
        return await self.exchange_bytes(message.SerializeToString())

    async def exchange_bytes(self, body: bytes) -> opamp_pb2.ServerToAgent:
        """The same for a message that no library would make."""
        if self.socket is not None:
            await self.socket.communicator.send_to(bytes_data=b"\x00" + body)
            return await self.socket.receive()
        answer = await post(body, self.headers, address=self.address)
        assert answer.status == 200, answer.body
        return answer.reply

    async def hear(self, agent: FakeAgent) -> opamp_pb2.ServerToAgent:
        """What the server has to say of its own accord: pushed, or the answer to the next poll."""
        await processed()
        if self.socket is not None:
            return await self.socket.receive()
        return await self.exchange(agent.message())

    async def nothing_comes(self, agent: FakeAgent) -> bool:
        """True when the server has nothing to say."""
        await processed()
        if self.socket is not None:
            return await self.socket.nothing_comes()
        reply = await self.exchange(agent.message())
        return parts_of(reply) <= BARE

    async def tell_all(self, agent: FakeAgent, **parts: Any) -> opamp_pb2.ServerToAgent:
        """A complete report; ``parts`` replace and extend it."""
        return await self.exchange(agent.message(**{**agent.full_parts(), **parts}))


async def processed() -> None:
    """Wait until the server has worked off its queue."""
    await runtime.current().report_queue.drain()


async def lose_memory() -> None:
    """A restart of the server process: rows stay, memory is gone."""
    await runtime.stop()


@sync_to_async
def publish(
    name: str = "prod-config",
    body: str = "a: 1\n",
    *,
    selector: object = PROD,
    files: Mapping[str, ConfigFile] | None = None,
    priority: int = 0,
) -> bytes:
    """Create or update a configuration; returns its hash."""
    if files is None:
        files = {"": ConfigFile(body.encode(), "text/yaml")}
    draft = Draft(selector=selector, files=files, priority=priority)
    verb = update_configuration if Configuration.objects.filter(name=name).exists() else create_configuration
    configuration, _ = verb(name, draft, by=None, at=timezone.now(), force=True)
    assert configuration.current is not None
    return bytes.fromhex(configuration.current.hash)


@sync_to_async
def retry(agent: FakeAgent) -> bool:
    """Have its configuration offered once more; false where there is nothing to offer."""
    try:
        retry_offer(Agent.objects.get(instance_uid=agent.uid).pk, by=None, at=timezone.now())
    except NothingToRetry:
        return False
    return True


@sync_to_async
def row_of(agent: FakeAgent) -> Agent:
    """The agent's row as it is now."""
    related = ("assignment", "presence", "reported", "reported__effective_config", "reported__components")
    return Agent.objects.select_related(*related).get(instance_uid=agent.uid)


@sync_to_async
def is_known(agent: FakeAgent) -> bool:
    """True when the fleet has the agent."""
    return Agent.objects.filter(instance_uid=agent.uid).exists()


@sync_to_async
def events_of(agent: FakeAgent, kind: str = "") -> list[tuple[str, dict[str, Any]]]:
    """The timeline, oldest first: kind and details."""
    events = AgentEvent.objects.filter(agent__instance_uid=agent.uid, **({"kind": kind} if kind else {}))
    return list(events.order_by("id").values_list("kind", "data"))


async def event_kinds(agent: FakeAgent) -> list[str]:
    """The timeline without details, oldest first."""
    return [kind for kind, _ in await events_of(agent)]


def new_uid(reply: opamp_pb2.ServerToAgent) -> UUID:
    """The uid that a reply assigns."""
    return UUID(bytes=reply.agent_identification.new_instance_uid)


def refusals(transport: str, reason: str) -> float:
    """How many were counted so far, as /metrics tells."""
    return REGISTRY.get_sample_value("opamp_refusals_total", {"transport": transport, "reason": reason}) or 0.0


def parts_of(reply: opamp_pb2.ServerToAgent) -> set[str]:
    """Names of the fields that are on the wire."""
    return {field.name for field, _ in reply.ListFields()}
