"""Freezes, pauses and pins over the wire: held agents hear nothing new, and their end is heard without anybody asking."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async

from agents.models import Agent
from configurations.models import Pin
from configurations.services import pinning
from foundation import wakeups
from foundation.chores import registered_chores
from foundation.clock import clock
from opamp_transport import runtime
from rollouts.audiences import EVERYONE
from rollouts.models import Freeze
from rollouts.services import freezing
from tests.fake_agent import APPLIED, FakeAgent, eventually, run
from tests.opamp_transport.conversations import BOTH, PROD, Line, lose_memory, publish

pytestmark = pytest.mark.django_db(transaction=True)


@sync_to_async
def freeze() -> int:
    return freezing.start_freeze(EVERYONE, reason="incident 7", by=None, at=clock.now()).pk


@sync_to_async
def end(freeze_id: int) -> None:
    freezing.end_freeze(freeze_id, by=None, at=clock.now())


@sync_to_async
def pin(agent: FakeAgent, name: str) -> None:
    key = Agent.objects.get(instance_uid=agent.uid).pk
    pinning.pin_agent(key, configuration=name, reason="ticket 7", by=None, at=clock.now())


async def end_what_is_over(here: runtime.Runtime) -> None:
    for chore in registered_chores():
        await here.do(chore)


async def applied(line: Line, agent: FakeAgent, body: str) -> bytes:
    """The agent has connected and applied the first revision."""
    first = await publish(body=body)
    assert (await line.tell_all(agent)).remote_config.config_hash == first
    await line.exchange(agent.message(remote_config_status={"last_remote_config_hash": first, "status": APPLIED}))
    return first


@BOTH
def test_a_frozen_agent_hears_nothing_until_the_end(transport: str) -> None:
    async def body() -> None:
        agent = FakeAgent(**PROD)
        async with Line(transport) as line:
            await applied(line, agent, "a: 1\n")
            frozen = await freeze()
            second = await publish(body="a: 2\n")
            assert await line.nothing_comes(agent)
            # Nor when it tells everything anew.
            assert not (await line.tell_all(agent)).HasField("remote_config")
            await end(frozen)
            assert (await line.hear(agent)).remote_config.config_hash == second

    run(body())


@BOTH
def test_a_restart_of_the_server_ends_no_freeze_and_no_pin(transport: str) -> None:
    async def body() -> None:
        agent = FakeAgent(**PROD)
        special = await publish("special", "b: 1\n", selector={"env": "lab"})
        async with Line(transport) as line:
            await applied(line, agent, "a: 1\n")
        frozen = await freeze()
        await pin(agent, "special")
        await lose_memory()
        async with Line(transport) as line:
            assert not (await line.tell_all(agent)).HasField("remote_config")
            await end(frozen)
            assert (await line.hear(agent)).remote_config.config_hash == special

    run(body())


def test_the_leading_process_ends_what_is_over_and_a_lost_wakeup_is_made_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def body() -> None:
        agent = FakeAgent(**PROD)
        async with Line("websocket") as line:
            await applied(line, agent, "a: 1\n")
            here = runtime.current()
            await freeze()
            await pin(agent, "prod-config")
            second = await publish(body="a: 2\n")
            assert await line.nothing_comes(agent)
            over = clock.now() - timedelta(seconds=1)
            for rows in (Freeze, Pin):
                await sync_to_async(rows.objects.update)(expires_at=over)
            await sync_to_async(Freeze.objects.update)(started_at=over)
            with monkeypatch.context() as patch:
                patch.setattr(wakeups, "wake", list)
                # Whoever does not lead ends nothing.
                here.leads = False
                await end_what_is_over(here)
                assert await sync_to_async(Freeze.objects.active().exists)()
                here.leads = True
                await end_what_is_over(here)
            assert not await sync_to_async(Freeze.objects.active().exists)()
            assert not await sync_to_async(Pin.objects.exists)()
            await here.find_missed_changes()
            await eventually(sync_to_async(lambda: offered(agent)))
            assert (await line.hear(agent)).remote_config.config_hash == second

    run(body())


def offered(agent: FakeAgent) -> bool:
    row = Agent.objects.select_related("assignment").get(instance_uid=agent.uid)
    return row.assignment.offered_hash == row.configuration_hash
