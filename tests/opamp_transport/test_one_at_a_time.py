"""Two messages of one agent are never in two database threads at once, while other agents go on (S-107)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from opamp_transport import runtime
from tests.databases import needs_several_processes
from tests.fake_agent import FakeAgent, Socket, post, run

pytestmark = pytest.mark.django_db(transaction=True)


# SQLite has one writer, so there is one database thread.
@needs_several_processes
@pytest.mark.rule("S-107", transport="http")
def test_a_message_waits_for_the_one_before_and_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        agent, other = FakeAgent(), FakeAgent()
        async with Socket() as second:
            await post(agent.message(**agent.full_parts()).SerializeToString())
            await second.send(other.message(**other.full_parts()))
            await second.receive()
            queue = runtime.current().report_queue
            assert queue._threads.size > 1
            record, started, release = queue._record, asyncio.Event(), asyncio.Event()
            batches: list[set[Any]] = []

            async def held(items: Any) -> Any:
                batches.append({item.uid for item in items})
                if len(batches) == 1:
                    started.set()
                    await release.wait()
                return await record(items)

            monkeypatch.setattr(queue, "_record", held)
            first = asyncio.ensure_future(post(agent.message(**agent.full_parts()).SerializeToString()))
            await asyncio.wait_for(started.wait(), 30)
            next_one = asyncio.ensure_future(post(agent.message(**agent.full_parts()).SerializeToString()))
            async with asyncio.timeout(30):
                while not queue._queue and len(batches) < 2:
                    await asyncio.sleep(0)
            await second.send(other.message(**other.full_parts()))
            await asyncio.wait_for(second.receive(), 30)
            assert not any(batches[0] & later for later in batches[1:])
            release.set()
            assert [answer.status for answer in await asyncio.gather(first, next_one)] == [200, 200]

    run(body())
