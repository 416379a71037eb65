"""Section D of the checklist: what each side may expect of the other."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents.models import Agent
from agents.replies import ServerCapabilities
from agents.services.commands import CannotBeSent, request_restart
from tests.fake_agent import COLLECTOR, FakeAgent, run
from tests.opamp_transport.conversations import BOTH, GOODBYE, Line, events_of, publish, row_of

pytestmark = pytest.mark.django_db(transaction=True)
ACCEPTS_REMOTE_CONFIG = 0x2
ACCEPTS_RESTART = 0x400


class TestServerMask:
    @BOTH
    @pytest.mark.rule("S-52", "S-53", "S-54")
    def test_every_reply_of_the_server_says_what_it_can_and_no_undefined_bit(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                replies = [
                    await line.tell_all(agent),
                    await line.exchange(agent.message()),
                    await line.exchange(agent.message(**GOODBYE)),
                ]
            for reply in replies:
                assert reply.capabilities & ServerCapabilities.ACCEPTS_STATUS
                assert reply.capabilities & ServerCapabilities.OFFERS_REMOTE_CONFIG
                assert not reply.capabilities & ~0x7F

        run(body())

    @BOTH
    @pytest.mark.rule("S-53", "S-70")
    @pytest.mark.parametrize("offered", [True, False])
    def test_only_what_exists_is_advertised(
        self, transport: str, offered: bool, settings: pytest.FixtureRequest
    ) -> None:
        settings.OPAMP_OFFER_HEARTBEAT = offered  # type: ignore[attr-defined]

        async def body() -> None:
            async with Line(transport) as line:
                mask = ServerCapabilities((await line.tell_all(FakeAgent())).capabilities)
            assert ServerCapabilities.ACCEPTS_EFFECTIVE_CONFIG in mask
            # People may set some, whether heartbeats are offered or not.
            assert ServerCapabilities.OFFERS_CONNECTION_SETTINGS in mask
            assert ServerCapabilities.OFFERS_PACKAGES in mask
            assert ServerCapabilities.ACCEPTS_CONNECTION_SETTINGS_REQUEST not in mask

        run(body())


class TestAgentMask:
    @BOTH
    @pytest.mark.rule("S-54")
    def test_undefined_bits_of_an_agent_are_ignored(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=COLLECTOR | 1 << 40)
            async with Line(transport) as line:
                assert not (await line.tell_all(agent)).HasField("error_response")
                assert (await row_of(agent)).capabilities == COLLECTOR

        run(body())

    @BOTH
    @pytest.mark.rule("S-55", "S-56", "S-58")
    def test_offers_follow_the_bits_of_the_moment(self, transport: str) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod", capabilities=COLLECTOR & ~ACCEPTS_REMOTE_CONFIG)
            async with Line(transport) as line:
                assert not (await line.tell_all(agent)).HasField("remote_config")
                assert (await row_of(agent)).assignment.status == "incapable"
                agent.capabilities |= ACCEPTS_REMOTE_CONFIG
                assert (await line.exchange(agent.message())).remote_config.config_hash == wanted
                agent.capabilities &= ~ACCEPTS_REMOTE_CONFIG
                await line.exchange(agent.message())
                await publish(body="a: 2\n")
                assert await line.nothing_comes(agent)
                agent.capabilities |= ACCEPTS_REMOTE_CONFIG
                assert (await line.exchange(agent.message())).remote_config.config.config_map[""].body == b"a: 2\n"
                changes = [data for _, data in await events_of(agent, "capabilities")]
                assert [bool(data["added"]) for data in changes] == [True, False, True]

        run(body())

    @BOTH
    @pytest.mark.rule("S-55", "S-56")
    def test_a_restart_waits_while_the_agent_takes_none(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport) as line:
                await line.tell_all(agent)
                await line.exchange(agent.message(**GOODBYE))
                await sync_to_async(request_restart)(await row_of(agent), by=None, at=timezone.now())
                agent.capabilities &= ~ACCEPTS_RESTART
                assert not (await line.exchange(agent.message())).HasField("command")
                with pytest.raises(CannotBeSent, match="AcceptsRestartCommand"):
                    await sync_to_async(request_restart)(await row_of(agent), by=None, at=timezone.now())
                agent.capabilities |= ACCEPTS_RESTART
                assert (await line.exchange(agent.message())).HasField("command")

        run(body())

    @BOTH
    @pytest.mark.rule("S-57")
    def test_a_mask_of_zero_means_not_repeated(self, transport: str) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                await line.tell_all(agent)
                agent.capabilities = 0
                await line.exchange(agent.message())
                await line.exchange(agent.message(health=agent.full_parts()["health"]))
                assert (await row_of(agent)).capabilities == COLLECTOR
                changed = await publish(body="a: 2\n")
                assert changed != wanted
                assert (await line.hear(agent)).remote_config.config_hash == changed

        run(body())

    @BOTH
    @pytest.mark.rule("S-57")
    def test_an_agent_without_the_mandatory_bit_is_served(self, transport: str) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod", capabilities=COLLECTOR & ~1)
            async with Line(transport) as line:
                assert (await line.tell_all(agent)).remote_config.config_hash == wanted
                assert await sync_to_async(Agent.objects.connected().count)() == 1

        run(body())
