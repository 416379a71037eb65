"""What apps have the leading process do, and that nobody who was heard is taken for silent meanwhile."""

from __future__ import annotations

import asyncio
import math
import threading
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async

from agents.models import AgentPresence
from foundation.chores import Chore
from foundation.clock import clock
from tests.fake_agent import FakeAgent, poll, run
from tests.opamp_transport.test_runtime import beating, is_connected

pytestmark = pytest.mark.django_db(transaction=True)


class TestChoresOfApps:
    def test_the_leading_process_alone_does_them_until_nothing_is_left(self) -> None:
        left = [2, 1, 0]
        chore = Chore("counted", 1, lambda _at: left.pop(0))

        async def body() -> None:
            here = await beating()
            here.leads = False
            await here.do(chore)
            assert left == [2, 1, 0]
            here.leads = True
            await here.do(chore)
            assert not left

        run(body())

    def test_one_that_takes_long_does_not_keep_the_others_waiting(self) -> None:
        begun, over = threading.Event(), threading.Event()

        def long(_at: object) -> int:
            begun.set()
            assert over.wait(10)
            return 0

        async def body() -> None:
            here = await beating()
            here.leads = True
            apart = asyncio.ensure_future(here.do(Chore("long", 1, long, apart=True)))
            await asyncio.to_thread(begun.wait, 10)
            await here.do(Chore("short", 1, lambda _at: 0))
            await here.beat()
            assert not apart.done()
            over.set()
            await apart

        run(body())

    def test_an_agent_that_was_heard_is_not_taken_for_silent(self) -> None:
        """Its last poll is in memory alone when the leading process looks for silent agents."""

        @sync_to_async
        def overdue(agent: FakeAgent) -> None:
            AgentPresence.objects.filter(agent__instance_uid=agent.uid).update(
                expires_at=clock.now() - timedelta(seconds=1)
            )

        async def body() -> None:
            here = await beating()
            here.watch._began_at = -math.inf
            agent = FakeAgent()
            await poll(agent.message(**agent.full_parts()))
            await here.flush_presence()
            await poll(agent.message())
            await overdue(agent)
            await here.expire()
            assert here.leads
            assert await is_connected(agent)
            await overdue(agent)
            await here.expire()
            assert not await is_connected(agent)

        run(body())
