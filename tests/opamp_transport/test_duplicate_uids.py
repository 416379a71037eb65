"""Two agents under one uid (S-31), and what must not be taken for them (S-32), over both transports."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from agents.services import duplicate_uids
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import FakeAgent, run
from tests.opamp_transport.conversations import (
    FULL_STATE,
    GOODBYE,
    Line,
    events_of,
    new_uid,
    parts_of,
    processed,
    publish,
    row_of,
)

pytestmark = pytest.mark.django_db(transaction=True)


class TestDuplicates:
    """Two agents under one uid (S-31), and what must not be taken for them (S-32)."""

    @pytest.mark.rule("S-31", transport="websocket")
    def test_two_counters_on_two_sockets_are_two_agents(self) -> None:
        async def body() -> None:
            first = FakeAgent()
            second = FakeAgent(first.uid)
            second.sequence_num = 70
            async with Line("websocket", address="10.0.0.1") as one, Line("websocket", address="10.0.0.2") as two:
                await one.tell_all(first)
                await two.tell_all(second, health=opamp_pb2.ComponentHealth(healthy=False))
                first.sequence_num = 200
                assert parts_of(await one.exchange(first.message())) == {"instance_uid", "capabilities"}
                reply = await two.exchange(second.message())
                assigned = new_uid(reply)
                assert (reply.instance_uid, assigned.version) == (first.uid.bytes, 7)
                # Whoever does not take the new uid hears of it again, and cannot speak for the other one.
                assert new_uid(await two.exchange(second.message())) == assigned
                assert (await one.exchange(first.message())).flags & FULL_STATE
                await one.tell_all(first)
                row = await row_of(first)
                assert (row.remote_address, row.healthy, row.connected) == ("10.0.0.1", True, True)
                second.uid = assigned
                assert (await two.exchange(second.message())).flags & FULL_STATE
                await two.tell_all(second, health=opamp_pb2.ComponentHealth(healthy=False))
                other = await row_of(second)
                assert (other.remote_address, other.healthy, other.pk != row.pk) == ("10.0.0.2", False, True)
                [(_, told)] = await events_of(first, "identity")
                assert told == {"duplicate": True, "kept": "10.0.0.1", "moved": "10.0.0.2", "new": str(assigned)}
                changed = await publish(selector={"os.type": "linux"})
                for agent, line in ((first, one), (second, two)):
                    assert (await line.hear(agent)).remote_config.config_hash == changed

        run(body())

    @pytest.mark.rule("S-31", transport="websocket")
    def test_two_fresh_clones_are_told_apart_by_talking_in_turn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(duplicate_uids, "GRACE", timedelta(0))

        async def body() -> None:
            first = FakeAgent()
            second = FakeAgent(first.uid)
            async with Line("websocket") as one, Line("websocket") as two:
                await one.tell_all(first)
                await two.tell_all(second)
                for _ in range(2):
                    await one.exchange(first.message())
                    reply = await two.exchange(second.message())
                assert new_uid(reply).version == 7
                assert (await one.exchange(first.message())).flags & FULL_STATE

        run(body())

    @pytest.mark.rule("S-31", transport="http")
    def test_two_series_of_numbers_from_two_addresses_are_two_agents(self) -> None:
        async def body() -> None:
            first = FakeAgent()
            second = FakeAgent(first.uid)
            second.sequence_num = 70
            one, two = Line("http", address="10.0.0.1"), Line("http", address="10.0.0.2")
            await one.tell_all(first)
            await two.tell_all(second)
            for _ in range(2):
                assert not (await one.exchange(first.message())).HasField("agent_identification")
                reply = await two.exchange(second.message())
            assigned = new_uid(reply)
            assert (await one.exchange(first.message())).flags & FULL_STATE
            await one.tell_all(first)
            second.uid = assigned
            await two.tell_all(second)
            assert ((await row_of(first)).remote_address, (await row_of(second)).remote_address) == (
                "10.0.0.1",
                "10.0.0.2",
            )
            [(_, told)] = await events_of(first, "identity")
            assert (told["kept"], told["moved"]) == ("10.0.0.1", "10.0.0.2")

        run(body())

    @pytest.mark.rule("S-31", "S-32", transport="http")
    def test_an_agent_that_polls_from_two_addresses_is_one_agent(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            await Line("http", address="10.0.0.1").tell_all(agent)
            for turn in range(8):
                line = Line("http", address=f"10.0.0.{turn % 2 + 1}")
                health = opamp_pb2.ComponentHealth(healthy=bool(turn % 2))
                assert not (await line.exchange(agent.message(health=health))).HasField("agent_identification")

        run(body())

    @pytest.mark.defect(5)
    @pytest.mark.rule("S-31", "S-32", transport="websocket")
    def test_late_messages_of_the_old_socket_change_nothing_and_are_no_duplicate(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with AsyncExitStack() as stack:
                old = Line("websocket")
                async with old:
                    new = await stack.enter_async_context(Line("websocket"))
                    await old.tell_all(agent)
                    late = [agent.message(health=opamp_pb2.ComponentHealth(healthy=False)) for _ in range(3)]
                    assert (await new.exchange(agent.message())).flags & FULL_STATE
                    for message in late:
                        assert parts_of(await old.exchange(message)) == {"instance_uid", "capabilities"}
                        assert not (await new.exchange(agent.message())).HasField("agent_identification")
                    assert (await row_of(agent)).healthy
                await processed()
                await new.tell_all(agent)
                for _ in range(3):
                    assert not (await new.exchange(agent.message())).HasField("agent_identification")
                assert (await row_of(agent)).connected

        run(body())

    @pytest.mark.rule("S-31", "S-32", transport="websocket")
    def test_a_restarted_agent_whose_old_socket_still_delivers_is_no_duplicate(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with AsyncExitStack() as stack:
                old = Line("websocket")
                async with old:
                    new = await stack.enter_async_context(Line("websocket"))
                    await old.tell_all(agent)
                    late = agent.message(**GOODBYE)
                    agent.sequence_num = -1
                    await new.tell_all(agent)
                    await old.exchange(late)
                    assert not (await new.exchange(agent.message())).HasField("agent_identification")
                await processed()
                assert not (await new.exchange(agent.message())).HasField("agent_identification")
                assert (await row_of(agent)).connected

        run(body())

    @pytest.mark.rule("S-32", "S-33", transport="websocket")
    def test_an_agent_that_a_gateway_moves_to_an_older_connection_goes_with_it(self) -> None:
        async def body() -> None:
            moving, staying = FakeAgent(), FakeAgent()
            async with Line("websocket") as older, Line("websocket") as newer:
                await older.tell_all(staying)
                await newer.tell_all(moving)
                await older.exchange(moving.message(health=opamp_pb2.ComponentHealth(healthy=False)))
                assert (await row_of(moving)).healthy is False
                changed = await publish(selector={"os.type": "linux"})
                assert (await older.hear(moving)).remote_config.config_hash == changed

        run(body())

    @pytest.mark.rule("S-32", transport="websocket")
    def test_a_connection_that_is_overtaken_before_its_first_word_takes_nothing(self) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line("websocket") as old, Line("websocket") as new:
                late = agent.message(health=opamp_pb2.ComponentHealth(healthy=False))
                await new.tell_all(agent)
                assert parts_of(await old.exchange(late)) == {"instance_uid", "capabilities"}
                assert (await row_of(agent)).healthy
                changed = await publish(selector={"os.type": "linux"})
                assert (await new.hear(agent)).remote_config.config_hash == changed

        run(body())

    @pytest.mark.rule("S-31", "S-32", transport="websocket")
    def test_what_a_displaced_connection_goes_on_saying_is_not_lost(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(duplicate_uids, "GRACE", timedelta(0))

        async def body() -> None:
            first = FakeAgent()
            second = FakeAgent(first.uid)
            async with Line("websocket", address="10.0.0.1") as one, Line("websocket", address="10.0.0.2") as two:
                await one.tell_all(first)
                await two.tell_all(second)
                # The newer one is silent from now on, as agents without heartbeats are.
                await one.exchange(first.message())
                assert (await one.exchange(first.message())).flags & FULL_STATE
                await one.tell_all(first, health=opamp_pb2.ComponentHealth(healthy=False))
                row = await row_of(first)
                assert (row.remote_address, row.healthy) == ("10.0.0.1", False)
                for _ in range(3):
                    reply = await two.exchange(second.message())
                    assert not (await one.exchange(first.message())).HasField("agent_identification")
                assert new_uid(reply).version == 7
                assert (await row_of(first)).remote_address == "10.0.0.1"

        run(body())

    @pytest.mark.rule("S-32", transport="websocket")
    def test_the_last_connection_wins_and_gets_the_pushes(self) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            async with Line("websocket") as old, Line("websocket") as new:
                await old.tell_all(agent)
                await new.exchange(agent.message())
                changed = await publish()
                assert (await new.hear(agent)).remote_config.config_hash == changed
                assert await old.nothing_comes(agent)

        run(body())

    @pytest.mark.rule("S-32", transport="http")
    def test_polls_win_over_a_socket_that_is_still_open(self) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            async with Line("websocket") as old:
                await old.tell_all(agent)
                await Line("http").exchange(agent.message())
                assert (await row_of(agent)).transport == "http"
                changed = await publish()
                assert (await Line("http").hear(agent)).remote_config.config_hash == changed
            await processed()
            assert (await row_of(agent)).connected

        run(body())
