"""Batches while a fleet comes in: fewer and larger ones. The database is away; what is shown is when a batch begins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

from agents.models import Transport
from agents.reports import StatusReport
from agents.services.arrivals import Arrival, Lease
from foundation.clock import clock
from opamp_transport.batch import Processed
from opamp_transport.report_queue import ReportQueue
from opamp_transport.sessions import AgentSession


class Database:
    """Takes note of each batch, and takes a millisecond for it."""

    def __init__(self) -> None:
        self.batches: list[tuple[float, int]] = []

    async def run(self, _function: Callable[..., Any], arrivals: Sequence[Arrival], **_: object) -> list[Processed]:
        self.batches.append((time.monotonic(), len(arrivals)))
        await asyncio.sleep(0.001)
        return [Processed(1) for _ in arrivals]


def batches_of(*, first_word: bool, batch_size: int = 200, reports: int = 240) -> list[tuple[float, int]]:
    """When batches began and how large they were, of reports that come a dozen in a millisecond."""
    lease = Lease("ws", "process", Transport.WEBSOCKET, "127.0.0.1", clock.now())

    async def body() -> list[tuple[float, int]]:
        database = Database()
        queue = ReportQueue(database, batch_size=batch_size, queue_limit=1_000)  # type: ignore[arg-type]
        worker = asyncio.create_task(queue.work())
        answers = []
        for number in range(reports):
            uid = uuid4()
            arrival = Arrival(StatusReport(uid, 0, 1), lease, first_word=first_word)
            answers.append(asyncio.create_task(queue.submit(AgentSession(uid, None), arrival)))
            if number % 12 == 11:
                await asyncio.sleep(0.001)
        async with asyncio.timeout(10):
            await asyncio.gather(*answers)
        worker.cancel()
        return database.batches

    return asyncio.run(body())


def test_batches_of_newcomers_are_collected_for_a_moment_and_others_are_not() -> None:
    crowded = batches_of(first_word=True)
    at_once = batches_of(first_word=False)
    assert sum(size for _, size in crowded) == sum(size for _, size in at_once) == 240
    assert len(crowded) <= 6
    assert len(at_once) > len(crowded)


def test_a_full_batch_waits_for_nobody() -> None:
    sizes = [size for _, size in batches_of(first_word=True, batch_size=10)]
    assert max(sizes) == 10
