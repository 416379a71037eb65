"""An agent for tests that speaks OpAMP through the real ASGI application, and can misbehave on request.

`run` gives a test its own event loop and stops the runtime at its end, so that nothing of one test reaches the next.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID, uuid4

from asgiref.sync import sync_to_async
from channels.testing import HttpCommunicator, WebsocketCommunicator
from django.db import connections

from agents.reports import AgentCapabilities
from opamp_platform.asgi import application
from opamp_transport import runtime
from opamp_transport.proto import opamp_pb2

T = TypeVar("T")
PATH = "/v1/opamp"
TIMEOUT = 5.0
COLLECTOR = int(
    AgentCapabilities.REPORTS_STATUS
    | AgentCapabilities.ACCEPTS_REMOTE_CONFIG
    | AgentCapabilities.REPORTS_REMOTE_CONFIG
    | AgentCapabilities.REPORTS_EFFECTIVE_CONFIG
    | AgentCapabilities.REPORTS_HEALTH
    | AgentCapabilities.REPORTS_HEARTBEAT
    | AgentCapabilities.ACCEPTS_RESTART_COMMAND
)


def run(test: Coroutine[Any, Any, T]) -> T:
    """Run an async test body; the process's runtime ends with it, its last batches written."""

    async def whole() -> T:
        try:
            return await test
        finally:
            await runtime.stop()
            # The thread of `sync_to_async` holds a connection that nobody else would give back.
            await sync_to_async(connections.close_all)()

    return asyncio.run(whole())


async def eventually(claim: Callable[[], Awaitable[bool]], seconds: float = TIMEOUT) -> None:
    """Wait until ``claim`` holds; fails after ``seconds``."""
    async with asyncio.timeout(seconds):
        while not await claim():
            await asyncio.sleep(0.01)


class FakeAgent:
    """One agent's state and the messages it sends. ``sequence_num`` is of the last message sent."""

    def __init__(self, uid: UUID | None = None, *, capabilities: int = COLLECTOR, **labels: str) -> None:
        self.uid = uid or uuid4()
        self.capabilities = capabilities
        self.sequence_num = -1
        self.labels = labels

    def message(self, *, count: bool = True, **parts: Any) -> opamp_pb2.AgentToServer:
        """The next message; ``count=False`` repeats the sequence number before."""
        if count:
            self.sequence_num += 1
        return opamp_pb2.AgentToServer(
            instance_uid=self.uid.bytes,
            sequence_num=self.sequence_num,
            capabilities=self.capabilities,
            **parts,
        )

    def full_parts(self) -> dict[str, Any]:
        """Everything the capabilities imply."""
        return {
            "agent_description": self.description(),
            "health": opamp_pb2.ComponentHealth(healthy=True, status="ok", start_time_unix_nano=1_700_000_000 * 10**9),
            "effective_config": effective_config("receivers: {}\n"),
            "remote_config_status": opamp_pb2.RemoteConfigStatus(),
        }

    def description(self) -> opamp_pb2.AgentDescription:
        """Identifying and non-identifying attributes, with this agent's labels among the latter."""
        description = opamp_pb2.AgentDescription()
        identifying = {"service.name": "otelcol", "service.version": "0.120.0"}
        others = {"host.name": "web-1", "os.type": "linux", "host.arch": "amd64", **self.labels}
        for target, pairs in (
            (description.identifying_attributes, identifying),
            (description.non_identifying_attributes, others),
        ):
            for key, value in pairs.items():
                target.add(key=key).value.string_value = value
        return description


def effective_config(body: str) -> opamp_pb2.EffectiveConfig:
    """An effective configuration of one YAML file."""
    config = opamp_pb2.EffectiveConfig()
    config.config_map.config_map[""].body = body.encode()
    config.config_map.config_map[""].content_type = "text/yaml"
    return config


def answered(config_hash: bytes, status: int, error: str = "") -> opamp_pb2.RemoteConfigStatus:
    """What an agent says of an offer."""
    return opamp_pb2.RemoteConfigStatus(last_remote_config_hash=config_hash, status=status, error_message=error)


APPLIED = opamp_pb2.RemoteConfigStatuses_APPLIED
APPLYING = opamp_pb2.RemoteConfigStatuses_APPLYING
FAILED = opamp_pb2.RemoteConfigStatuses_FAILED


class Socket:
    """One WebSocket to the server, from ``address``; ``async with Socket() as socket``."""

    def __init__(self, headers: dict[str, str] | None = None, *, address: str = "10.0.0.1") -> None:
        raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        self.communicator = WebsocketCommunicator(application, PATH, headers=raw)
        self.communicator.scope["client"] = (address, 40_000)
        # What a server that can answer a handshake with any status offers.
        self.communicator.scope["extensions"] = {"websocket.http.response": {}}

    async def __aenter__(self) -> Self:
        accepted, _ = await self.communicator.connect(timeout=TIMEOUT)
        assert accepted
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.communicator.disconnect(timeout=TIMEOUT)

    async def send(self, message: opamp_pb2.AgentToServer) -> None:
        """Send one framed message."""
        await self.communicator.send_to(bytes_data=b"\x00" + message.SerializeToString())

    async def receive(self) -> opamp_pb2.ServerToAgent:
        """The next message of the server."""
        frame = await self.communicator.receive_from(timeout=TIMEOUT)
        assert frame[0] == 0
        return opamp_pb2.ServerToAgent.FromString(frame[1:])

    async def exchange(self, message: opamp_pb2.AgentToServer) -> opamp_pb2.ServerToAgent:
        """Send, and take the next message as its answer."""
        await self.send(message)
        return await self.receive()

    async def nothing_comes(self, seconds: float = 0.2) -> bool:
        """True when the server stays silent."""
        return bool(await self.communicator.receive_nothing(timeout=seconds))


class HttpAnswer:
    """Status, headers and decoded body of one plain-HTTP exchange."""

    def __init__(self, response: dict[str, Any]) -> None:
        self.status: int = response["status"]
        self.headers = {name.decode(): value.decode() for name, value in response["headers"]}
        self.body: bytes = response["body"]

    @property
    def reply(self) -> opamp_pb2.ServerToAgent:
        """The body as a message."""
        body = gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body
        return opamp_pb2.ServerToAgent.FromString(body)


async def post(
    body: bytes, headers: dict[str, str] | None = None, *, method: str = "POST", address: str = "10.0.0.1"
) -> HttpAnswer:
    """One request to the plain-HTTP entry point, from ``address``; ``headers`` replace and extend the usual ones."""
    fields = {"content-type": "application/x-protobuf", **(headers or {})}
    raw = [(name.lower().encode(), value.encode()) for name, value in fields.items() if value]
    communicator = HttpCommunicator(application, method, PATH, body=body, headers=raw)
    communicator.scope["client"] = (address, 40_000)
    response = await communicator.get_response(timeout=TIMEOUT)
    return HttpAnswer(response)


async def poll(message: opamp_pb2.AgentToServer) -> opamp_pb2.ServerToAgent:
    """One plain-HTTP exchange that must succeed."""
    answer = await post(message.SerializeToString())
    assert answer.status == 200, answer.body
    return answer.reply
