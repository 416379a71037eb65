"""Section F of the checklist, and S-14: health as reported, and who counts as connected."""

from __future__ import annotations

import base64
import secrets
import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone
from websockets.sync.client import connect

from agents.models import ServerProcess
from agents.services.leases import expire_agents, expire_process
from opamp_transport import runtime
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import FakeAgent, run
from tests.live_server import LiveServer
from tests.opamp_transport.conversations import BOTH, Line, events_of, row_of
from tests.opamp_transport.protocol.wire import key_values, length_delimited

pytestmark = pytest.mark.django_db(transaction=True)


def deep(levels: int) -> bytes:
    """A chain of healthy components with a sick one at the bottom, deeper than the library would write it."""
    node = opamp_pb2.ComponentHealth(healthy=False, last_error="at the bottom").SerializeToString()
    for _ in range(levels):
        entry = length_delimited(1, b"child") + length_delimited(2, node)
        node = opamp_pb2.ComponentHealth(healthy=True).SerializeToString() + length_delimited(6, entry)
    return node


class TestHealth:
    @BOTH
    @pytest.mark.rule("S-71")
    def test_never_reported_is_unknown_and_the_root_alone_is_the_verdict(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=1)
            async with Line(transport) as line:
                await line.exchange(agent.message(agent_description=agent.description()))
                row = await row_of(agent)
                assert (row.healthy, row.status) == (None, "connected")
                await line.exchange_bytes(agent.message().SerializeToString() + length_delimited(5, deep(3)))
                row = await row_of(agent)
                assert (row.healthy, row.status) == (True, "connected")
                await line.exchange(agent.message(health=opamp_pb2.ComponentHealth()))
                row = await row_of(agent)
                assert (row.healthy, row.status) == (False, "error")

        run(body())

    @BOTH
    @pytest.mark.rule("S-71")
    @pytest.mark.parametrize("levels", [0, 1, 30, 49])
    def test_a_tree_as_deep_as_messages_go_is_accepted_and_shown(self, transport: str, levels: int) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                parts = {**agent.full_parts(), "health": None}
                message = agent.message(**parts).SerializeToString() + length_delimited(5, deep(levels))
                assert not (await line.exchange_bytes(message)).HasField("error_response")
                assert not (await line.exchange(agent.message())).flags
                row = await row_of(agent)
            node: Any = row.reported.health
            depth = 0
            while "components" in node:
                node, depth = node["components"]["child"], depth + 1
            assert row.healthy is (levels > 0)
            assert (depth, node["last_error"]) == (levels, "at the bottom")

        run(body())

    @pytest.mark.rule("S-71", "S-100")
    @pytest.mark.parametrize("levels", [50, 5000])
    def test_a_deeper_one_is_refused_and_what_was_known_before_stays(self, levels: int) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line("websocket") as line:
                await line.tell_all(agent, health=opamp_pb2.ComponentHealth(healthy=True))
                message = agent.message().SerializeToString() + length_delimited(5, deep(levels))
                refused = (await line.exchange_bytes(message)).error_response
                assert refused.type == opamp_pb2.ServerErrorResponseType_BadRequest
                assert "nest deeper than 100 levels" in refused.error_message
                assert (await row_of(agent)).healthy is True
                # The refused message is a gap in its numbers: the agent tells everything again, less deeply.
                assert (await line.exchange(agent.message())).flags == opamp_pb2.ServerToAgentFlags_ReportFullState
                message = agent.message(**{**agent.full_parts(), "health": None}).SerializeToString()
                answer = await line.exchange_bytes(message + length_delimited(5, deep(3)))
                assert not answer.HasField("error_response")
                row = await row_of(agent)
                assert "components" in row.reported.health

        run(body())

    @BOTH
    @pytest.mark.rule("S-72")
    def test_words_times_and_attributes_are_kept_and_not_interpreted(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            health = opamp_pb2.ComponentHealth(
                healthy=True, status="StatusPermanentError", attributes=key_values({"n": 3, "list": [1, {"a": None}]})
            )
            async with Line(transport) as line:
                await line.tell_all(agent, health=health)
                row = await row_of(agent)
                assert (row.healthy, row.health_status, row.started_at) == (True, "StatusPermanentError", None)
                assert row.reported.health["attributes"] == {"n": 3, "list": [1, {"a": None}]}

        run(body())


class TestExpiry:
    """Who is gone although nobody said so."""

    @pytest.mark.defect(6)
    @pytest.mark.rule("S-74", transport="websocket")
    @pytest.mark.parametrize("mask", [1, 0x2001])
    def test_silence_on_an_open_socket_proves_nothing(self, mask: int) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=mask)
            async with Line("websocket") as line:
                await line.exchange(agent.message(agent_description=agent.description()))
                tomorrow = timezone.now() + timedelta(days=1)
                await runtime.current().beat()
                await sync_to_async(ServerProcess.objects.update)(beat_at=tomorrow)
                assert await sync_to_async(expire_agents)(at=tomorrow) == 0
                assert (await row_of(agent)).connected

        run(body())

    @pytest.mark.rule("S-74", transport="http")
    def test_an_agent_that_polls_is_gone_after_three_intervals_and_not_before(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            await Line("http").tell_all(agent)
            seen_at = (await row_of(agent)).presence.last_seen_at
            assert await sync_to_async(expire_agents)(at=seen_at + timedelta(seconds=89)) == 0
            assert await sync_to_async(expire_agents)(at=seen_at + timedelta(seconds=91)) == 1
            assert not (await row_of(agent)).connected
            await Line("http").exchange(agent.message(health=opamp_pb2.ComponentHealth(healthy=True)))
            assert (await row_of(agent)).connected

        run(body())

    @pytest.mark.rule("S-74", transport="websocket")
    def test_the_agents_of_a_dead_process_are_gone_and_one_that_still_talks_is_back(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line("websocket") as line:
                await line.tell_all(agent)
                await line.exchange(agent.message())
                await runtime.current().flush_presence()
                await runtime.current().beat()
                beat_at = await sync_to_async(lambda: ServerProcess.objects.get().beat_at)()
                assert (
                    await sync_to_async(expire_process)(
                        runtime.current().process_id, beat_at=beat_at, at=timezone.now()
                    )
                    == 1
                )
                assert [data["reason"] for _, data in await events_of(agent, "disconnected")] == ["server process lost"]
                # Its process lives after all: memory answers until the rows are looked at.
                await line.exchange(agent.message())
                await runtime.current().flush_presence()
                await line.exchange(agent.message())
                assert (await row_of(agent)).connected

        run(body())

    @pytest.mark.rule("S-51", transport="websocket")
    def test_an_older_sighting_does_not_overwrite_what_another_process_wrote(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line("websocket") as line:
                await line.tell_all(agent)
                await line.exchange(agent.message())
                later = timezone.now() + timedelta(seconds=5)
                mine = (await row_of(agent)).presence
                mine.last_seen_at, mine.sequence_num = later, 77
                await sync_to_async(mine.save)()
                await runtime.current().flush_presence()
                presence = (await row_of(agent)).presence
                assert (presence.last_seen_at, presence.sequence_num) == (later, 77)

        run(body())


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A running server that pings idle sockets every second and waits a second for the pong."""
    folder = tmp_path_factory.mktemp("impatient")
    with LiveServer(folder, OPAMP_PING_SECONDS="1", OPAMP_PONG_TIMEOUT_SECONDS="1") as server:
        yield server


def open_without_pongs(server: LiveServer, frame: bytes) -> socket.socket:
    """A socket that sends one frame and then neither reads nor answers, as one whose network is gone."""
    dead = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    lines = [
        "GET /v1/opamp HTTP/1.1", f"Host: 127.0.0.1:{server.port}", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", "",
    ]  # fmt: skip
    dead.sendall("\r\n".join(lines).encode())
    assert dead.recv(4096).startswith(b"HTTP/1.1 101")
    mask = secrets.token_bytes(4)
    length = bytes([0x80 | 126]) + len(frame).to_bytes(2, "big") if len(frame) > 125 else bytes([0x80 | len(frame)])
    dead.sendall(b"\x82" + length + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(frame)))
    return dead


@pytest.mark.rule("S-14", "S-74", transport="websocket")
def test_a_socket_that_answers_no_ping_is_dropped_and_a_silent_one_that_does_stays(impatient: LiveServer) -> None:
    silent, gone = FakeAgent(capabilities=1), FakeAgent(capabilities=1)

    def told(agent: FakeAgent) -> set[str]:
        answer = impatient.api("GET", f"agents/{agent.uid}/timeline")
        return {event["kind"] for event in answer.json["results"]} if answer.status == 200 else set()

    with connect(impatient.websocket_endpoint, ping_interval=None, proxy=None) as healthy:
        message = silent.message(agent_description=silent.description())
        healthy.send(b"\x00" + message.SerializeToString())
        healthy.recv(10)
        message = gone.message(agent_description=gone.description())
        with open_without_pongs(impatient, b"\x00" + message.SerializeToString()):
            impatient.eventually(lambda: "disconnected" in told(gone), what="the agent without pongs is dropped")
            assert "disconnected" not in told(silent)
            healthy.send(b"\x00" + silent.message().SerializeToString())
            assert healthy.recv(10)
