"""``REOFFER_ON_DRIFT``: an agent that runs something else than it applied is offered it again, with pauses and an end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db.models import F

from agents.models import Agent
from configurations.models import Assignment
from configurations.services.offering_again import COUNTED_FOR, MAX_OFFERS, wake_drifted
from foundation.clock import clock
from opamp_transport import runtime
from rollouts.audiences import EVERYONE
from rollouts.services import freezing
from tests.fake_agent import APPLIED, FakeAgent, answered, effective_config, run
from tests.opamp_transport.conversations import BOTH, PROD, Line, events_of, processed, publish, retry

pytestmark = pytest.mark.django_db(transaction=True)
TEXT, OTHER = "a: 1\n", "a: 2\n"


@pytest.fixture(autouse=True)
def _on(settings) -> None:
    settings.REOFFER_ON_DRIFT = True


@sync_to_async
def passes(time: timedelta) -> None:
    """What was offered, was offered so much earlier."""
    Assignment.objects.filter(offered_at__isnull=False).update(offered_at=F("offered_at") - time)


async def runs(line: Line, agent: FakeAgent, text: str) -> bool:
    """The agent says what it runs; whether it is offered anything for it."""
    return (await line.exchange(agent.message(effective_config=effective_config(text)))).HasField("remote_config")


async def applied(line: Line, agent: FakeAgent) -> bytes:
    wanted = await publish(body=TEXT)
    assert (await line.tell_all(agent)).remote_config.config_hash == wanted
    await line.exchange(
        agent.message(remote_config_status=answered(wanted, APPLIED), effective_config=effective_config(TEXT))
    )
    return wanted


async def look() -> None:
    """The leading process looks for pauses that are over."""
    await sync_to_async(wake_drifted)(clock.now())
    await processed()


@BOTH
@pytest.mark.rule("S-60", "S-63")
def test_it_goes_out_once_a_pause_and_so_often_at_most(transport: str) -> None:
    async def body() -> None:
        agent = FakeAgent(**PROD)
        async with Line(transport) as line:
            wanted = await applied(line, agent)
            # It was offered a moment ago.
            assert not await runs(line, agent, OTHER)
            offers = 1
            for number in range(MAX_OFFERS + 3):
                await passes(timedelta(hours=1))
                reply = await line.exchange(agent.message(effective_config=effective_config(f"{OTHER}# {number}\n")))
                offers += reply.remote_config.config_hash == wanted
                assert not await runs(line, agent, OTHER)
                # The agent says that it applied it and does not: nothing hurries the next offer.
                said = await line.exchange(agent.message(remote_config_status=answered(wanted, APPLIED)))
                assert not said.HasField("remote_config")
            assert offers == MAX_OFFERS
            lines = await events_of(agent, "offered_again")
            assert [data["offers"] for _kind, data in lines] == [2, 3, 4, 5]
            # It came right, and drifts again on another day: once more.
            assert not await runs(line, agent, TEXT)
            await passes(COUNTED_FOR)
            assert await runs(line, agent, OTHER)

    run(body())


@BOTH
def test_who_drifts_and_comes_right_in_turn_uses_its_offers_up(transport: str) -> None:
    async def body() -> None:
        agent = FakeAgent(**PROD)
        async with Line(transport) as line:
            await applied(line, agent)
            offers = 1
            for _ in range(MAX_OFFERS + 3):
                await passes(timedelta(hours=1))
                offers += await runs(line, agent, OTHER)
                assert not await runs(line, agent, TEXT)
            assert offers == MAX_OFFERS

    run(body())


@BOTH
def test_an_agent_that_says_nothing_new_is_looked_at_when_the_pause_is_over(transport: str) -> None:
    async def body() -> None:
        agent = FakeAgent(**PROD)
        async with Line(transport) as line:
            wanted = await applied(line, agent)
            assert not await runs(line, agent, OTHER)
            await look()
            assert await line.nothing_comes(agent)
            await passes(timedelta(minutes=1))
            await look()
            assert (await line.hear(agent)).remote_config.config_hash == wanted
            await look()
            assert await line.nothing_comes(agent)

    run(body())


@BOTH
def test_a_frozen_agent_is_left_alone_until_the_end(transport: str) -> None:
    async def body() -> None:
        agent = FakeAgent(**PROD)
        async with Line(transport) as line:
            wanted = await applied(line, agent)
            frozen = await sync_to_async(freezing.start_freeze)(EVERYONE, reason="incident", by=None, at=clock.now())
            await passes(timedelta(hours=1))
            assert not await runs(line, agent, OTHER)
            await look()
            assert await line.nothing_comes(agent)
            await sync_to_async(freezing.end_freeze)(frozen.pk, by=None, at=clock.now())
            await look()
            assert (await line.hear(agent)).remote_config.config_hash == wanted

    run(body())


@BOTH
def test_a_person_who_asks_anew_is_not_taken_for_drift(transport: str) -> None:
    async def body() -> None:
        agent = FakeAgent(**PROD)
        async with Line(transport) as line:
            wanted = await applied(line, agent)
            assert not await runs(line, agent, OTHER)
            assert await retry(agent)
            assert (await line.hear(agent)).remote_config.config_hash == wanted
            assert not await events_of(agent, "offered_again")

    run(body())


@BOTH
def test_nothing_goes_out_unless_it_is_switched_on(transport: str, settings) -> None:
    settings.REOFFER_ON_DRIFT = False

    async def body() -> None:
        agent = FakeAgent(**PROD)
        async with Line(transport) as line:
            await applied(line, agent)
            await passes(timedelta(hours=1))
            assert not await runs(line, agent, OTHER)
            await look()
            assert await line.nothing_comes(agent)
            assert (await sync_to_async(Agent.objects.get)(instance_uid=agent.uid)).config_drifted

    run(body())


def test_the_chore_is_there() -> None:
    async def body() -> None:
        from foundation.chores import registered_chores

        chore = next(chore for chore in registered_chores() if chore.name == "drift")
        await runtime.current().do(chore)

    run(body())
