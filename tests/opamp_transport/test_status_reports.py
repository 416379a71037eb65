"""Section C of the checklist: replies and status compression; `test_sequence_numbers` has the numbers."""

from __future__ import annotations

import pytest

from opamp_transport.proto import opamp_pb2
from tests.fake_agent import COLLECTOR, FakeAgent, answered, run
from tests.opamp_transport.conversations import (
    BARE,
    BOTH,
    GOODBYE,
    UNHEALTHY,
    Line,
    events_of,
    parts_of,
    publish,
    row_of,
)

pytestmark = pytest.mark.django_db(transaction=True)


class TestReplies:
    @BOTH
    @pytest.mark.rule("S-36", "S-37")
    def test_each_message_has_one_reply_and_most_say_nothing(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                await line.tell_all(agent)
                for message in (agent.message(), agent.message(count=False), agent.message(health=UNHEALTHY)):
                    assert parts_of(await line.exchange(message)) == BARE
                assert await line.nothing_comes(agent)

        run(body())

    @BOTH
    @pytest.mark.rule("S-38")
    def test_success_has_no_error_and_an_error_nothing_else(self, transport: str) -> None:
        async def body() -> None:
            await publish()
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                good = await line.tell_all(agent)
                assert "error_response" not in parts_of(good)
                bad = agent.message(**agent.full_parts())
                bad.instance_uid = b"short"
                assert parts_of(await line.exchange(bad)) == {"instance_uid", "error_response"}

        run(body())


class TestCompression:
    @BOTH
    @pytest.mark.rule("S-39")
    def test_what_is_left_out_stays_as_it_was(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=COLLECTOR | 0xC010, env="prod")
            everything = {
                "package_statuses": opamp_pb2.PackageStatuses(error_message="none"),
                "custom_capabilities": opamp_pb2.CustomCapabilities(capabilities=["com.example.x"]),
                "available_components": opamp_pb2.AvailableComponents(
                    hash=b"h", components={"otlp": opamp_pb2.ComponentDetails()}
                ),
                "connection_settings_status": opamp_pb2.ConnectionSettingsStatus(last_connection_settings_hash=b"c"),
                "remote_config_status": answered(b"r", 1),
            }

            async def stored() -> list[object]:
                row = await row_of(agent)
                state = row.reported
                return [
                    row.labels, row.healthy, row.remote_config_hash, row.capabilities, state.health,
                    state.effective_config_id, state.package_statuses, state.custom_capabilities, state.components_id,
                    state.connection_settings_status,
                ]  # fmt: skip

            async with Line(transport) as line:
                await line.tell_all(agent, **everything)
                before = await stored()
                assert all(before)
                await line.exchange(agent.message())
                agent.sequence_num += 3
                await line.exchange(agent.message())
                assert await stored() == before

        run(body())

    @BOTH
    @pytest.mark.rule("S-40")
    def test_what_is_present_replaces_the_whole_part(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod", team="a")
            async with Line(transport) as line:
                await line.tell_all(agent, health=UNHEALTHY)
                agent.labels = {"env": "dev"}
                await line.exchange(
                    agent.message(
                        agent_description=agent.description(),
                        health=opamp_pb2.ComponentHealth(healthy=True),
                        effective_config=opamp_pb2.EffectiveConfig(),
                        remote_config_status=opamp_pb2.RemoteConfigStatus(),
                        custom_capabilities=opamp_pb2.CustomCapabilities(),
                    )
                )
                row = await row_of(agent)
                assert (row.labels["env"], "team" in row.labels) == ("dev", False)
                assert (row.last_error, row.reported.health) == ("", {"healthy": True})
                assert row.reported.effective_config.content == {}
                assert row.reported.custom_capabilities == []

        run(body())

    @BOTH
    @pytest.mark.rule("S-40", "S-99")
    def test_a_hash_alone_keeps_the_components_it_stands_for(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=COLLECTOR | 0x4000)
            components = {"otlp": opamp_pb2.ComponentDetails()}
            async with Line(transport) as line:
                await line.tell_all(
                    agent, available_components=opamp_pb2.AvailableComponents(hash=b"h", components=components)
                )
                await line.exchange(agent.message(available_components=opamp_pb2.AvailableComponents(hash=b"h")))
                assert (await row_of(agent)).reported.components.content == {"otlp": {}}

        run(body())

    @BOTH
    @pytest.mark.rule("S-41")
    def test_one_shot_members_are_not_inherited(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            message = opamp_pb2.CustomMessage(capability="com.example.x", type="t", data=b"1")
            request = opamp_pb2.ConnectionSettingsRequest()
            async with Line(transport) as line:
                await line.tell_all(agent, custom_message=message, connection_settings_request=request)
                await line.exchange(agent.message(health=UNHEALTHY))
                await line.exchange(agent.message(**GOODBYE))
                reply = await line.exchange(agent.message(health=UNHEALTHY))
                assert not reply.HasField("agent_identification")
                assert (await row_of(agent)).connected
                assert len(await events_of(agent, "custom_message")) == 1

        run(body())
