"""Agents' own metrics on their way into the database: a small queue of its own, so that nobody's report waits behind them.

One batch at a time goes through the thread that chores use, never through those of reports. A request waits for its batch,
since the answer says what was not taken.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from weakref import WeakKeyDictionary

from django.db import DatabaseError

from opamp_transport.report_queue import DatabaseAway
from opamp_transport.runtime import Runtime
from telemetry.otlp import AgentMetrics, read_metrics
from telemetry.services.storing import Delivery, Reception, store

logger = logging.getLogger(__name__)

_MOST_WAITING = 500
_BATCH = 50
# A smaller body of protobuf is decoded in less time than a thread takes to wake (bytes).
_READ_IN_THREAD = 4 * 1024


class TelemetryQueueFull(Exception):
    """As many requests wait as may."""


class TelemetryQueue:
    """The waiting requests of one process; a task works while there are any."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Delivery, asyncio.Future[Reception]]] = deque()
        self._task: asyncio.Task[None] | None = None
        # JSON takes a second of a core for each megabyte: never several at once.
        self._reading = asyncio.Semaphore(1)

    @property
    def is_full(self) -> bool:
        """True while a further request would be refused."""
        return len(self._waiting) >= _MOST_WAITING

    async def read(self, body: bytes | bytearray, *, as_json: bool) -> list[AgentMetrics]:
        """The metrics in ``body``, read beside the event loop. Raises as `telemetry.otlp.read_metrics` does."""
        if not as_json and len(body) <= _READ_IN_THREAD:
            return read_metrics(body, as_json=False)
        async with self._reading:
            return await asyncio.to_thread(read_metrics, body, as_json=as_json)

    async def submit(self, here: Runtime, delivery: Delivery) -> Reception:
        """What became of it, once it is stored. Raises `TelemetryQueueFull` and `DatabaseAway`."""
        if self.is_full:
            raise TelemetryQueueFull
        future: asyncio.Future[Reception] = asyncio.get_running_loop().create_future()
        self._waiting.append((delivery, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(here))
        return await future

    async def _work(self, here: Runtime) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            if not await self._stored(here, batch) and len(batch) > 1:
                # An agent may have been forgotten meanwhile: only its own request shall fail.
                for one in batch:
                    await self._stored(here, [one], last=True)

    async def _stored(
        self, here: Runtime, batch: list[tuple[Delivery, asyncio.Future[Reception]]], *, last: bool = False
    ) -> bool:
        """Answer all of ``batch``; false when it failed and is to be tried one by one."""
        try:
            taken = await here.chore_threads.run(store, [delivery for delivery, _ in batch])
        except Exception as error:  # whoever waits must be told, whatever it was
            if len(batch) > 1 and not last:
                return False
            if not isinstance(error, DatabaseError):
                logger.exception("metrics could not be stored", exc_info=error)
            for _, future in batch:
                if not future.done():
                    future.set_exception(DatabaseAway())
            return True
        for (_, future), outcome in zip(batch, taken, strict=True):
            if not future.done():
                future.set_result(outcome)
        return True


_queues: WeakKeyDictionary[Runtime, TelemetryQueue] = WeakKeyDictionary()


def queue_of(here: Runtime) -> TelemetryQueue:
    """The queue that goes with the runtime of the process."""
    return _queues.setdefault(here, TelemetryQueue())
