"""The entry points, driven by an agent through the real ASGI application, report queue and database."""

from __future__ import annotations

import gzip
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents.models import Agent
from agents.services.commands import request_restart
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import (
    APPLIED,
    APPLYING,
    FakeAgent,
    Socket,
    answered,
    effective_config,
    poll,
    post,
    run,
)
from tests.opamp_transport.conversations import FULL_STATE, event_kinds, publish, row_of

pytestmark = pytest.mark.django_db(transaction=True)


class TestFiveSteps:
    """Operator publishes, agent connects, is matched, is offered, answers."""

    @pytest.mark.rule("S-36", "S-53", "S-60")
    def test_over_websocket(self) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod", region="us-east")
            async with Socket() as socket:
                reply = await socket.exchange(agent.message(**agent.full_parts()))
                assert reply.instance_uid == agent.uid.bytes
                assert reply.capabilities & 1
                assert reply.remote_config.config_hash == wanted
                assert reply.remote_config.config.config_map[""].body == b"a: 1\n"
                assert not reply.flags & FULL_STATE
                await socket.exchange(agent.message(remote_config_status=answered(wanted, APPLYING)))
                assert (await row_of(agent)).status == "configuring"
                done = await socket.exchange(
                    agent.message(
                        remote_config_status=answered(wanted, APPLIED), effective_config=effective_config("a: 1\n")
                    )
                )
                assert not done.HasField("remote_config")
                row = await row_of(agent)
                assert (row.status, row.in_sync, row.assignment.status) == ("connected", True, "applied")
                assert row.configuration_name == "prod-config"
                assert "applied" in await event_kinds(agent)

        run(body())

    def test_over_plain_http(self) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod")
            reply = await poll(agent.message(**agent.full_parts()))
            assert reply.remote_config.config_hash == wanted
            await poll(agent.message(remote_config_status=answered(wanted, APPLIED)))
            row = await row_of(agent)
            assert (row.status, row.transport, row.in_sync) == ("connected", "http", True)

        run(body())


class TestIdentityAndCommands:
    """Assigned uids, restart."""

    @pytest.mark.rule("S-28", "S-29", "S-30")
    def test_an_agent_that_asks_for_a_uid_gets_one_and_the_temporary_one_is_not_kept(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Socket() as socket:
                reply = await socket.exchange(agent.message(flags=1))
                assigned = UUID(bytes=reply.agent_identification.new_instance_uid)
                assert reply.instance_uid == agent.uid.bytes
                assert assigned.version == 7
                assert not await sync_to_async(Agent.objects.exists)()

        run(body())

    @pytest.mark.rule("S-96", "S-97")
    def test_restart_travels_alone_and_once(self) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            async with Socket() as socket:
                await socket.exchange(agent.message(**agent.full_parts()))
                row = await row_of(agent)
                await sync_to_async(request_restart)(row, by=None, at=timezone.now())
                pushed = await socket.receive()
                assert pushed.HasField("command")
                assert {field.name for field, _ in pushed.ListFields()} == {"instance_uid", "capabilities", "command"}
                assert await socket.nothing_comes()

        run(body())


class TestBadInput:
    """Refusals: clear, and nobody else notices."""

    @pytest.mark.defect(1)
    @pytest.mark.rule("S-25", "S-100", "S-101")
    @pytest.mark.parametrize("length", [0, 1, 15, 17, 36])
    def test_a_wrong_uid_gets_bad_request_and_the_socket_lives(self, length: int) -> None:
        async def body() -> None:
            bad = opamp_pb2.AgentToServer(instance_uid=b"x" * length)
            async with Socket() as socket:
                reply = await socket.exchange(bad)
                assert reply.error_response.type == opamp_pb2.ServerErrorResponseType_BadRequest
                agent = FakeAgent()
                assert not (await socket.exchange(agent.message(**agent.full_parts()))).HasField("error_response")
            answer = await post(bad.SerializeToString())
            assert answer.status == 200
            assert answer.reply.error_response.type == opamp_pb2.ServerErrorResponseType_BadRequest

        run(body())

    @pytest.mark.rule("S-06", "S-08", "S-101")
    def test_undecodable_bytes_are_answered_and_cost_nobody_else(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Socket() as good, Socket() as bad:
                for frame in (b"", b"\x01\x0a", b"\x00\xff\xff", b"\x80" * 11):
                    await bad.communicator.send_input({"type": "websocket.receive", "bytes": frame})
                    reply = await bad.receive()
                    assert reply.error_response.error_message
                await bad.communicator.send_to(text_data="hello")
                assert (await bad.receive()).HasField("error_response")
                assert not (await good.exchange(agent.message(**agent.full_parts()))).HasField("error_response")
            assert (await post(b"\xff\xff")).status == 400

        run(body())

    @pytest.mark.rule("S-03", "S-04", "S-16", "S-17", "S-18", "S-20")
    def test_the_http_door_says_what_is_wrong(self, settings: pytest.FixtureRequest) -> None:
        settings.OPAMP_MAX_MESSAGE_SIZE = 4096  # type: ignore[attr-defined]

        async def body() -> None:
            agent = FakeAgent()
            message = agent.message(**agent.full_parts()).SerializeToString()
            assert (await post(b"", method="GET")).status == 426
            assert (await post(b"", method="PUT")).status == 405
            assert (await post(message, {"content-type": "application/json"})).status == 415
            assert (await post(message, {"content-encoding": "br"})).status == 415
            assert (await post(b"\x00" * 5000)).status == 413
            assert (await post(gzip.compress(b"\x00" * 100_000), {"content-encoding": "gzip"})).status == 413
            assert (await post(b"no gzip", {"content-encoding": "gzip"})).status == 400
            plain = await post(message, {"content-type": "Application/X-Protobuf; charset=x"})
            assert (plain.status, plain.headers["content-type"]) == (200, "application/x-protobuf")
            assert "content-encoding" not in plain.headers
            packed = await post(
                gzip.compress(agent.message().SerializeToString()),
                {"content-encoding": "gzip", "accept-encoding": "gzip"},
            )
            assert packed.headers["content-encoding"] == "gzip"
            assert packed.reply.instance_uid == agent.uid.bytes
            for coding in ("x-gzip", "X-GZIP", "identity, x-gzip"):
                packed = await post(
                    gzip.compress(agent.message().SerializeToString()),
                    {"content-encoding": coding, "accept-encoding": "x-gzip"},
                )
                assert (packed.status, packed.headers["content-encoding"]) == (200, "gzip")

        run(body())

    @pytest.mark.defect(16)
    @pytest.mark.rule("S-22", "S-105")
    def test_a_wrong_secret_is_refused_before_the_upgrade(self, settings: pytest.FixtureRequest) -> None:
        settings.OPAMP_SECRET_KEY = "s3cret-of-the-fleet"  # type: ignore[attr-defined]

        async def body() -> None:
            for headers in ({}, {"authorization": "Bearer wrong"}, {"secret-key": "s3cret-of-the-flee"}):
                socket = Socket(headers)
                await socket.communicator.send_input({"type": "websocket.connect"})
                start = await socket.communicator.receive_output(timeout=5)
                assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
                assert (await post(b"", headers)).status == 401
            for headers in (
                {"authorization": "Bearer s3cret-of-the-fleet"},
                {"secret-key": "s3cret-of-the-fleet"},
                {"authorization": "Secret-Key s3cret-of-the-fleet"},
            ):
                agent = FakeAgent()
                async with Socket(headers) as socket:
                    assert (await socket.exchange(agent.message(**agent.full_parts()))).capabilities
                assert (await post(agent.message().SerializeToString(), headers)).status == 200

        run(body())


@pytest.mark.defect(10)
@pytest.mark.rule("S-39", "S-40")
def test_labels_follow_the_description_removals_included() -> None:
    async def body() -> None:
        agent = FakeAgent(env="prod", team="a")
        async with Socket() as socket:
            await socket.exchange(agent.message(**agent.full_parts()))
            row = await row_of(agent)
            assert (row.hostname, row.os_type, row.architecture) == ("web-1", "linux", "amd64")
            agent.labels = {"env": "dev"}
            await socket.exchange(agent.message(agent_description=agent.description()))
            row = await row_of(agent)
            assert row.labels["env"] == "dev"
            assert "team" not in row.labels

    run(body())


@pytest.mark.defect(11)
def test_what_agents_report_is_kept() -> None:
    async def body() -> None:
        agent = FakeAgent()
        async with Socket() as socket:
            await socket.exchange(
                agent.message(
                    **agent.full_parts(),
                    custom_capabilities=opamp_pb2.CustomCapabilities(capabilities=["com.example.x"]),
                    package_statuses=opamp_pb2.PackageStatuses(),
                )
            )
            row = await row_of(agent)
            assert row.capabilities == agent.capabilities
            assert row.reported.health["healthy"] is True
            assert row.reported.effective_config_id
            assert row.reported.custom_capabilities == ["com.example.x"]
            assert row.reported.package_statuses is not None

    run(body())
