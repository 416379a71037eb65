"""When a configuration is offered through the real ASGI application, report queue and database, and when it is not."""

from __future__ import annotations

from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents.remote_config import ConfigFile
from agents.services.editing import edit_agent
from configurations.models import Assignment
from configurations.services.publishing import (
    Draft,
    create_configuration,
    delete_configuration,
    draft_of,
    update_configuration,
)
from tests.fake_agent import (
    APPLIED,
    FAILED,
    FakeAgent,
    Socket,
    answered,
    poll,
    run,
)
from tests.opamp_transport.conversations import PROD, event_kinds, publish, row_of

pytestmark = pytest.mark.django_db(transaction=True)


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
                row = await row_of(agent)
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
                assert (await row_of(agent)).status == "error"
                changed = await publish(body="a: 2\n")
                assert (await socket.receive()).remote_config.config_hash == changed
                await socket.exchange(agent.message(remote_config_status=answered(changed, APPLIED)))
                assert (await row_of(agent)).status == "connected"

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
                assert (await row_of(agent)).in_sync is False

        run(body())

    @pytest.mark.rule("S-55", "S-58")
    def test_never_to_an_agent_that_does_not_accept_it(self) -> None:
        async def body() -> None:
            await publish()
            agent = FakeAgent(env="prod", capabilities=1)
            async with Socket() as socket:
                reply = await socket.exchange(agent.message(agent_description=agent.description()))
                assert not reply.HasField("remote_config")
                row = await row_of(agent)
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
                row = await row_of(agent)
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
                row = await row_of(agent)
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
    draft = Draft(selector=PROD, files={"": ConfigFile(b"a: 1\n", "text/yaml")})
    configuration, _ = create_configuration("c", draft, by=None, at=timezone.now())
    again, _ = update_configuration("c", draft_of(configuration), by=None, at=timezone.now())
    assert again.current is not None
    assert again.current.number == 1
