"""The entry points, driven by an agent through the real ASGI application, report queue and database."""

from __future__ import annotations

import gzip
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents.models import Agent, AgentEvent, ConnectionRecord
from agents.remote_config import ConfigFile
from agents.services.commands import request_restart
from agents.services.editing import edit_agent, forget_agents
from agents.services.leases import expire_agents
from configurations.models import Assignment
from configurations.services.publishing import (
    Draft,
    create_configuration,
    delete_configuration,
    draft_of,
    update_configuration,
)
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import (
    APPLIED,
    APPLYING,
    FAILED,
    FakeAgent,
    Socket,
    answered,
    effective_config,
    eventually,
    poll,
    post,
    run,
)

pytestmark = pytest.mark.django_db(transaction=True)

FULL_STATE = opamp_pb2.ServerToAgentFlags_ReportFullState
PROD = {"env": "prod"}


def draft(body: str = "a: 1\n", selector: object = PROD, **fields: object) -> Draft:
    """A one-file configuration."""
    return Draft(selector=selector, files={"": ConfigFile(body.encode(), "text/yaml")}, **fields)  # type: ignore[arg-type]


@sync_to_async
def publish(name: str = "prod-config", body: str = "a: 1\n", **fields: object) -> bytes:
    """Create or update a configuration; returns its hash."""
    wanted = draft(body, **fields)
    from configurations.models import Configuration

    verb = update_configuration if Configuration.objects.filter(name=name).exists() else create_configuration
    configuration, _ = verb(name, wanted, by=None, at=timezone.now())
    assert configuration.current is not None
    return bytes.fromhex(configuration.current.hash)


@sync_to_async
def agent_row(agent: FakeAgent) -> Agent:
    """The agent's row as it is now."""
    return Agent.objects.select_related("assignment", "presence", "reported").get(instance_uid=agent.uid)


@sync_to_async
def event_kinds(agent: FakeAgent) -> list[str]:
    """The timeline, oldest first."""
    return list(AgentEvent.objects.filter(agent__instance_uid=agent.uid).order_by("id").values_list("kind", flat=True))


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
                assert (await agent_row(agent)).status == "configuring"
                done = await socket.exchange(
                    agent.message(
                        remote_config_status=answered(wanted, APPLIED), effective_config=effective_config("a: 1\n")
                    )
                )
                assert not done.HasField("remote_config")
                row = await agent_row(agent)
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
            row = await agent_row(agent)
            assert (row.status, row.transport, row.in_sync) == ("connected", "http", True)

        run(body())


class TestOffers:
    """When a configuration is offered, and when it is not."""

    @pytest.mark.defect(2)
    @pytest.mark.rule("S-50", "S-61", "S-62")
    def test_heartbeats_never_bring_the_same_offer_again(self) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod")
            async with Socket() as socket:
                first = await socket.exchange(agent.message(**agent.full_parts()))
                assert first.remote_config.config_hash == wanted
                for _ in range(5):
                    reply = await socket.exchange(agent.message())
                    assert not reply.HasField("remote_config")
                    assert not reply.flags

        run(body())

    @pytest.mark.defect(3)
    @pytest.mark.rule("S-61")
    @pytest.mark.parametrize("transport", ["websocket", "http"])
    def test_a_failed_hash_is_not_offered_again_until_it_changes(self, transport: str) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod")
            async with Socket() as socket:
                talk = socket.exchange if transport == "websocket" else poll
                await talk(agent.message(**agent.full_parts()))
                reply = await talk(agent.message(remote_config_status=answered(wanted, FAILED, "no such receiver")))
                assert not reply.HasField("remote_config")
                row = await agent_row(agent)
                assert (row.status, row.assignment.error_message) == ("error", "no such receiver")
                again = await talk(agent.message(remote_config_status=answered(wanted, FAILED, "no such receiver")))
                assert not again.HasField("remote_config")
            async with Socket() as socket:
                talk = socket.exchange if transport == "websocket" else poll
                back = await talk(agent.message(remote_config_status=answered(wanted, FAILED, "no such receiver")))
                assert not back.HasField("remote_config")
                changed = await publish(body="a: 2\n")
                pushed = await socket.receive() if transport == "websocket" else await poll(agent.message())
                assert pushed.remote_config.config_hash == changed

        run(body())

    @pytest.mark.defect(7)
    def test_an_error_is_over_as_soon_as_its_cause_is(self) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod")
            async with Socket() as socket:
                await socket.exchange(agent.message(**agent.full_parts()))
                await socket.exchange(agent.message(remote_config_status=answered(wanted, FAILED, "x")))
                assert (await agent_row(agent)).status == "error"
                changed = await publish(body="a: 2\n")
                assert (await socket.receive()).remote_config.config_hash == changed
                await socket.exchange(agent.message(remote_config_status=answered(changed, APPLIED)))
                assert (await agent_row(agent)).status == "connected"

        run(body())

    @pytest.mark.rule("S-64")
    def test_a_late_answer_to_an_older_hash_is_not_booked_on_the_newer(self) -> None:
        async def body() -> None:
            old = await publish()
            agent = FakeAgent(env="prod")
            async with Socket() as socket:
                await socket.exchange(agent.message(**agent.full_parts()))
                new = await publish(body="a: 2\n")
                assert (await socket.receive()).remote_config.config_hash == new
                late = await socket.exchange(agent.message(remote_config_status=answered(old, APPLIED)))
                assert not late.HasField("remote_config")
                assert (await agent_row(agent)).in_sync is False

        run(body())

    @pytest.mark.rule("S-55", "S-58")
    def test_never_to_an_agent_that_does_not_accept_it(self) -> None:
        async def body() -> None:
            await publish()
            agent = FakeAgent(env="prod", capabilities=1)
            async with Socket() as socket:
                reply = await socket.exchange(agent.message(agent_description=agent.description()))
                assert not reply.HasField("remote_config")
                row = await agent_row(agent)
                assert (row.assignment.status, row.in_sync) == ("incapable", None)

        run(body())

    @pytest.mark.rule("S-66", "S-21")
    def test_an_edit_reaches_websocket_agents_at_once_and_http_agents_with_their_poll(self) -> None:
        async def body() -> None:
            await publish()
            one, two = FakeAgent(env="prod"), FakeAgent(env="prod")
            async with Socket() as socket:
                await socket.exchange(one.message(**one.full_parts()))
                await poll(two.message(**two.full_parts()))
                changed = await publish(body="a: 2\n")
                assert (await socket.receive()).remote_config.config_hash == changed
                assert (await poll(two.message())).remote_config.config_hash == changed
                assert await socket.nothing_comes()

        run(body())

    def test_operator_labels_move_an_agent_at_once(self) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="dev")
            async with Socket() as socket:
                assert not (await socket.exchange(agent.message(**agent.full_parts()))).HasField("remote_config")
                row = await agent_row(agent)
                await sync_to_async(edit_agent)(row.pk, by=None, at=timezone.now(), operator_labels={"env": "prod"})
                assert (await socket.receive()).remote_config.config_hash == wanted

        run(body())

    def test_when_nothing_matches_any_more_the_agent_keeps_what_it_runs(self) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod")
            async with Socket() as socket:
                await socket.exchange(agent.message(**agent.full_parts()))
                await socket.exchange(agent.message(remote_config_status=answered(wanted, APPLIED)))
                await sync_to_async(delete_configuration)("prod-config", by=None, at=timezone.now())
                assert await socket.nothing_comes()
                row = await agent_row(agent)
                assert (row.assignment.status, row.configuration_name, row.in_sync) == ("none", "", None)
                assert (await event_kinds(agent))[-1] == "unassigned"

        run(body())

    @pytest.mark.defect(8)
    def test_of_several_matching_the_highest_priority_wins_then_the_name(self) -> None:
        async def body() -> None:
            await publish("b-config", "b: 1\n")
            first = await publish("a-config", "a: 1\n")
            agent = FakeAgent(env="prod")
            async with Socket() as socket:
                reply = await socket.exchange(agent.message(**agent.full_parts()))
                assert reply.remote_config.config_hash == first
                stronger = await publish("z-config", "z: 1\n", priority=5)
                assert (await socket.receive()).remote_config.config_hash == stronger

        run(body())

    @pytest.mark.rule("S-62")
    def test_a_byte_identical_http_retry_gets_the_same_offer(self) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod")
            message = agent.message(**agent.full_parts())
            assert (await poll(message)).remote_config.config_hash == wanted
            assert (await poll(message)).remote_config.config_hash == wanted
            assert not (await poll(agent.message())).HasField("remote_config")

        run(body())


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
                row = await agent_row(agent)
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
                from opamp_transport import runtime

                await runtime.current().report_queue.drain()
                assert (await agent_row(agent)).connected
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
                return not any([(await agent_row(agent)).connected for agent in agents])

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
                assert not (await agent_row(agent)).connected
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
            row = await agent_row(agent)
            assert row.connected
            assert await sync_to_async(ConnectionRecord.objects.filter(agent=row).count)() == 1

        run(body())

    def test_a_silent_http_agent_expires_and_comes_back(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            await poll(agent.message(**agent.full_parts()))
            await sync_to_async(expire_agents)(at=timezone.now() + timedelta(minutes=10))
            assert not (await agent_row(agent)).connected
            await poll(agent.message(health=opamp_pb2.ComponentHealth(healthy=True)))
            assert (await agent_row(agent)).connected

        run(body())

    @pytest.mark.defect(6)
    @pytest.mark.rule("S-74")
    def test_a_silent_websocket_agent_stays_connected(self) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=1)
            async with Socket() as socket:
                await socket.exchange(agent.message(agent_description=agent.description()))
                await sync_to_async(expire_agents)(at=timezone.now() + timedelta(minutes=10))
                assert (await agent_row(agent)).connected

        run(body())

    def test_a_forgotten_agent_registers_itself_anew(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Socket() as socket:
                await socket.exchange(agent.message(**agent.full_parts()))
                row = await agent_row(agent)
                await sync_to_async(forget_agents)([row.pk], by=None)
                from opamp_transport import runtime

                await runtime.current().report_queue.drain()
                reply = await socket.exchange(agent.message())
                assert reply.flags & FULL_STATE
                assert (await agent_row(agent)).pk != row.pk

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
                row = await agent_row(agent)
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
            row = await agent_row(agent)
            assert (row.hostname, row.os_type, row.architecture) == ("web-1", "linux", "amd64")
            agent.labels = {"env": "dev"}
            await socket.exchange(agent.message(agent_description=agent.description()))
            row = await agent_row(agent)
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
            row = await agent_row(agent)
            assert row.capabilities == agent.capabilities
            assert row.reported.health["healthy"] is True
            assert row.reported.effective_config_id
            assert row.reported.custom_capabilities == ["com.example.x"]
            assert row.reported.package_statuses is not None

    run(body())


@pytest.mark.defect(20)
def test_an_edit_reaches_more_agents_than_one_batch_holds(settings: pytest.FixtureRequest) -> None:
    settings.OPAMP_BATCH_SIZE = 16  # type: ignore[attr-defined]

    async def body() -> None:
        await publish()
        agents = [FakeAgent(uuid4(), env="prod") for _ in range(60)]
        async with Socket() as socket:
            for agent in agents:
                await socket.exchange(agent.message(**agent.full_parts()))
            changed = await publish(body="a: 2\n")
            replies = [await socket.receive() for _ in agents]
            assert {reply.instance_uid for reply in replies} == {agent.uid.bytes for agent in agents}
            assert {reply.remote_config.config_hash for reply in replies} == {changed}
            assert await socket.nothing_comes()
            pending = Assignment.objects.exclude(status="offered").count
            assert await sync_to_async(pending)() == 0

    run(body())


def test_an_edit_that_changes_nothing_makes_no_revision() -> None:
    configuration, _ = create_configuration("c", draft(), by=None, at=timezone.now())
    again, _ = update_configuration("c", draft_of(configuration), by=None, at=timezone.now())
    assert again.current is not None
    assert again.current.number == 1
