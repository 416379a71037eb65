"""Limits at the entry points, driven through the real application: overload, too many agents, floods, log lines."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Self

import pytest
from asgiref.sync import sync_to_async
from channels.testing import HttpCommunicator
from django.utils import timezone
from prometheus_client import REGISTRY

from agents.remote_config import ConfigFile
from configurations.services.publishing import Draft, create_configuration, update_configuration
from opamp_platform.asgi import application
from opamp_transport import runtime
from opamp_transport.limits import INBOUND
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import PATH, TIMEOUT, FakeAgent, Socket, eventually, poll, post, run
from tests.opamp_transport.conversations import Line, is_known, refusals

pytestmark = pytest.mark.django_db(transaction=True)
UNAVAILABLE = opamp_pb2.ServerErrorResponseType_Unavailable
BAD_REQUEST = opamp_pb2.ServerErrorResponseType_BadRequest


class BusyDatabase:
    """Every database thread of the process waits; what agents send piles up in the queue."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    async def __aenter__(self) -> Self:
        threads = runtime.current().threads
        self.held = [asyncio.ensure_future(threads.run(self.go_on.wait, 30)) for _ in range(threads.size)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.go_on.set()
        await asyncio.gather(*self.held)


class TestOverload:
    """More reports wait than may (S-102 … S-105)."""

    @pytest.mark.rule("S-102", "S-104", "S-105", transport="websocket")
    @pytest.mark.rule("S-103", "S-104", "S-105", transport="http")
    def test_who_is_in_is_told_when_to_come_back_and_who_is_not_stays_out(self, settings) -> None:  # type: ignore[no-untyped-def]
        settings.OPAMP_QUEUE_LIMIT = 3

        async def body() -> None:
            refused, outside = FakeAgent(), FakeAgent()
            here = runtime.current()
            crowd = [Socket() for _ in range(60)]
            senders: list[tuple[Socket, FakeAgent]] = []
            try:
                async with Socket() as open_before, BusyDatabase():
                    for socket in crowd:
                        await socket.__aenter__()
                        agent = FakeAgent()
                        await socket.send(agent.message(**agent.full_parts()))
                        senders.append((socket, agent))
                        await asyncio.sleep(0.01)  # each worker takes what is there before the next one comes
                        if here.report_queue.is_full:
                            break
                    assert here.report_queue.is_full
                    reply = await open_before.exchange(refused.message(**refused.full_parts()))
                    assert reply.instance_uid == refused.uid.bytes
                    assert reply.error_response.type == UNAVAILABLE
                    assert reply.error_response.retry_info.retry_after_nanoseconds >= 30e9
                    assert not reply.capabilities
                    closed = await open_before.communicator.receive_output(TIMEOUT)
                    assert (closed["type"], closed["code"]) == ("websocket.close", 1013)

                    newcomer = Socket()
                    await newcomer.communicator.send_input({"type": "websocket.connect"})
                    start = await newcomer.communicator.receive_output(TIMEOUT)
                    assert (start["type"], start["status"]) == ("websocket.http.response.start", 503)
                    assert int(dict(start["headers"])[b"retry-after"]) >= 30

                    answer = await post(outside.message(**outside.full_parts()).SerializeToString())
                    assert answer.status == 503
                    assert int(answer.headers["retry-after"]) >= 30
                for socket, agent in senders:
                    assert (await socket.receive()).instance_uid == agent.uid.bytes
                assert not await is_known(refused)
                assert not await is_known(outside)
                # The numbers that were refused do not count: the next message is a first one.
                async with Socket() as again:
                    back = await again.exchange(refused.message())
                    assert back.flags & opamp_pb2.ServerToAgentFlags_ReportFullState
                assert (await poll(outside.message())).flags & opamp_pb2.ServerToAgentFlags_ReportFullState
            finally:
                for socket, _ in senders:
                    await socket.__aexit__(None, None, None)

        run(body())

    def test_a_process_that_holds_too_many_unfinished_bodies_refuses_more(self, settings) -> None:  # type: ignore[no-untyped-def]
        settings.OPAMP_MAX_MESSAGE_SIZE = 64 * 1024
        settings.OPAMP_INBOUND_MEMORY = 1024

        def unfinished() -> HttpCommunicator:
            headers = [(b"content-type", b"application/x-protobuf")]
            return HttpCommunicator(application, "POST", PATH, headers=headers)

        async def body() -> None:
            before = INBOUND.held
            peers = [unfinished() for _ in range(3)]
            for number, peer in enumerate(peers):
                await peer.send_input({"type": "http.request", "body": bytes(60_000), "more_body": True})
                if number < 2:
                    await eventually(lambda n=number: _held(before + 60_000 * (n + 1)))  # type: ignore[misc]
            start = await peers[2].receive_output(TIMEOUT)
            assert start["status"] == 503
            for peer in peers[:2]:
                await peer.send_input({"type": "http.disconnect"})
                await peer.wait(TIMEOUT)
            assert INBOUND.held == before
            agent = FakeAgent()
            assert (await poll(agent.message(**agent.full_parts()))).instance_uid == agent.uid.bytes

        run(body())


async def _held(size: int) -> bool:
    return INBOUND.held == size


class TestSecret:
    @pytest.mark.rule("S-22", "S-23", "S-105")
    @pytest.mark.parametrize("transport", ["websocket", "http"])
    def test_without_it_401_and_nothing_is_known_of_the_agent(self, settings, transport: str) -> None:  # type: ignore[no-untyped-def]
        settings.OPAMP_SECRET_KEY = "the-secret"

        async def body() -> None:
            agent = FakeAgent()
            message = agent.message(**agent.full_parts())
            for wrong in ({}, {"authorization": "Bearer wrong"}, {"secret-key": "wrong"}):
                if transport == "http":
                    status = (await post(message.SerializeToString(), wrong)).status
                else:
                    peer = Socket(wrong)
                    await peer.communicator.send_input({"type": "websocket.connect"})
                    status = (await peer.communicator.receive_output(TIMEOUT))["status"]
                assert status == 401
                assert not await is_known(agent)
            right = {"authorization": "Bearer the-secret"}
            if transport == "http":
                assert (await post(message.SerializeToString(), right)).status == 200
            else:
                async with Socket(right) as socket:
                    assert (await socket.exchange(message)).instance_uid == agent.uid.bytes
            assert await is_known(agent)

        run(body())


class TestOneConnection:
    @pytest.mark.rule("S-33", transport="websocket")
    def test_it_speaks_for_so_many_agents_and_no_more(self, settings) -> None:  # type: ignore[no-untyped-def]
        settings.OPAMP_AGENTS_PER_CONNECTION = 3

        async def body() -> None:
            agents = [FakeAgent() for _ in range(4)]
            async with Socket() as socket:
                for agent in agents[:3]:
                    assert not (await socket.exchange(agent.message(**agent.full_parts()))).HasField("error_response")
                reply = await socket.exchange(agents[3].message(**agents[3].full_parts()))
                assert reply.instance_uid == agents[3].uid.bytes
                assert reply.error_response.type == BAD_REQUEST
                assert "OPAMP_AGENTS_PER_CONNECTION" in reply.error_response.error_message
                assert not await is_known(agents[3])
                assert not (await socket.exchange(agents[0].message())).HasField("error_response")
                await socket.exchange(agents[0].message(agent_disconnect=opamp_pb2.AgentDisconnect()))
                assert not (await socket.exchange(agents[3].message())).HasField("error_response")

        run(body())

    def test_on_which_nobody_identifies_himself_is_closed(self, settings) -> None:  # type: ignore[no-untyped-def]
        settings.OPAMP_FIRST_MESSAGE_SECONDS = 1

        async def body() -> None:
            agent = FakeAgent()
            async with Socket() as known, Socket() as silent, Socket() as babbling:
                await known.exchange(agent.message(**agent.full_parts()))
                await babbling.communicator.send_to(bytes_data=b"\x00")
                assert (await babbling.receive()).error_response.type == BAD_REQUEST
                for socket in (silent, babbling):
                    closed = await socket.communicator.receive_output(TIMEOUT)
                    assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
                assert (await known.exchange(agent.message())).instance_uid == agent.uid.bytes

        run(body())

    @pytest.mark.rule("S-100", "S-101", transport="websocket")
    def test_of_twenty_bad_messages_in_a_row_each_is_answered_then_it_is_closed(self) -> None:
        async def body() -> None:
            async with Socket() as socket:
                for _ in range(20):
                    await socket.communicator.send_to(bytes_data=b"\x07")
                    reply = await socket.receive()
                    assert (reply.instance_uid, reply.error_response.type) == (b"", BAD_REQUEST)
                closed = await socket.communicator.receive_output(TIMEOUT)
                assert closed["code"] == 1008

        run(body())


@pytest.mark.parametrize("transport", ["websocket", "http"])
class TestPace:
    @pytest.mark.rule("S-111")
    def test_one_agents_flood_of_news_waits_and_nobody_else_does(self, settings, transport: str) -> None:  # type: ignore[no-untyped-def]
        settings.OPAMP_REPORTS_PER_SECOND = 1

        async def body() -> None:
            flooding, calm = FakeAgent(), FakeAgent()
            async with Line(transport) as line, Line(transport) as other:
                await line.tell_all(flooding)
                await other.tell_all(calm)
                slowed, loop = _slowed(transport), asyncio.get_running_loop()
                for number in range(9):
                    await line.exchange(flooding.message(health=_health(number)))
                assert _slowed(transport) == slowed
                begun = loop.time()
                for number in range(2):
                    await line.exchange(flooding.message(health=_health(number)))
                assert loop.time() - begun >= 1.0, "two more than ten at once: one second each"
                assert _slowed(transport) == slowed + 2
                # The flooding agent's heartbeats, and the other's news.
                await line.exchange(flooding.message())
                await other.exchange(calm.message(health=_health(1)))
                assert _slowed(transport) == slowed + 2

        run(body())


def _slowed(transport: str) -> float:
    return REGISTRY.get_sample_value("opamp_slowed_reports_total", {"transport": transport}) or 0.0


def _health(number: int) -> opamp_pb2.ComponentHealth:
    return opamp_pb2.ComponentHealth(healthy=True, status=f"turn {number}")


class StuckPeer:
    """A WebSocket whose peer reads nothing until ``reading`` is set: the server's sends wait, as they do in uvicorn."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        self.reading = asyncio.Event()
        self.reading.set()
        self.got: list[opamp_pb2.ServerToAgent] = []

    async def __aenter__(self) -> Self:
        scope = {"type": "websocket", "path": PATH, "headers": [], "query_string": b"", "subprotocols": []}
        self.incoming.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.ensure_future(application(scope, self.incoming.get, self.send))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.reading.set()
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await self.task

    async def send(self, event: dict[str, object]) -> None:
        """The server sends."""
        await self.reading.wait()
        if isinstance(content := event.get("bytes"), bytes):
            self.got.append(opamp_pb2.ServerToAgent.FromString(content[1:]))

    def say(self, message: opamp_pb2.AgentToServer) -> None:
        """The peer sends."""
        self.incoming.put_nowait({"type": "websocket.receive", "bytes": b"\x00" + message.SerializeToString()})


class TestSlowReader:
    @pytest.mark.rule("S-106", "S-108", "S-111", transport="websocket")
    def test_of_many_changes_one_message_waits_and_the_newest_follows(self) -> None:
        @sync_to_async
        def publish(edit: int) -> None:
            draft = Draft(selector={"env": "prod"}, files={"": ConfigFile(b"edit: %d\n" % edit, "text/yaml")})
            verb = update_configuration if edit else create_configuration
            verb("busy", draft, by=None, at=timezone.now())

        async def body() -> None:
            agent, watch = FakeAgent(env="prod"), FakeAgent(env="prod")
            async with StuckPeer() as stuck, Socket() as socket:
                stuck.say(agent.message(**agent.full_parts()))
                await eventually(lambda: _counts(stuck, 1))
                await socket.exchange(watch.message(**watch.full_parts()))
                stuck.reading.clear()
                for edit in range(10):
                    await publish(edit)
                    pushed = await socket.receive()
                    assert pushed.remote_config.config.config_map[""].body == b"edit: %d\n" % edit
                # The one to the agent that reads may have been sent a moment ago.
                await eventually(_one_waits)
                stuck.reading.set()
                await eventually(lambda: _newest(stuck, b"edit: 9\n"))
                assert len(stuck.got) <= 3, "the first answer, what had waited, and the newest"

        run(body())


async def _one_waits() -> bool:
    return len(runtime.current().report_queue._pushes) == 1


async def _counts(peer: StuckPeer, number: int) -> bool:
    return len(peer.got) == number


async def _newest(peer: StuckPeer, content: bytes) -> bool:
    return bool(peer.got) and peer.got[-1].remote_config.config.config_map[""].body == content


class TestLog:
    def test_a_flood_of_bad_messages_is_counted_but_fills_no_log(
        self, caplog: pytest.LogCaptureFixture, settings
    ) -> None:  # type: ignore[no-untyped-def]
        settings.OPAMP_REQUESTS_PER_SECOND = 0

        async def body() -> None:
            before = refusals("http", "malformed") + refusals("websocket", "MalformedMessage")
            for _ in range(300):
                assert (await post(b"\xff")).status == 400
            for _ in range(10):
                async with Socket() as socket:
                    for _ in range(15):
                        await socket.communicator.send_to(bytes_data=b"\x07")
                        await socket.receive()
            assert refusals("http", "malformed") + refusals("websocket", "MalformedMessage") == before + 450

        with caplog.at_level(logging.INFO):
            run(body())
        lines = [record for record in caplog.records if record.getMessage() == "refused"]
        assert {line.__dict__["reason"] for line in lines} == {"malformed", "MalformedMessage"}
        assert len(lines) <= 4
