"""What one server process keeps running for its agents: exchange workers, presence batches, the doorbell, its beat.

Started by the first of: the server's lifespan, an agent's first request. Stopped by the lifespan.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from agents import doorbell
from agents.services import commands, identity, leases
from agents.services.leases import Sighting
from configurations.services import offers
from opamp_transport import metrics
from opamp_transport.admission import Gate
from opamp_transport.exchange import Exchange
from opamp_transport.limits import Complaints
from opamp_transport.presence import Presence
from opamp_transport.protocol.messages import assert_fast_protobuf
from opamp_transport.registry import Registry
from opamp_transport.threads import DatabaseThreads

logger = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
MISSED_CHANGE_SECONDS = 3.0
EXPIRE_SECONDS = 5.0
# Every so many expiries all connected agents are looked at, not those of processes known to be dead alone.
_THOROUGH_EVERY = 12
# A change is looked for again this long after its time stamp: its transaction may have committed late.
_LOOK_BACK = timedelta(seconds=60)
_DRAIN_SECONDS = 10.0
# Python's own are 700, 10, 10. The first bounds how many objects of dead cycles can pile up.
_GARBAGE_THRESHOLDS = (50_000, 20, 50)
_CANCELLATIONS = 10


class Runtime:
    """The process's registry, exchange and chores. One per event loop; see `current`."""

    def __init__(self) -> None:
        self.process_id = uuid4().hex
        self.registry = Registry()
        self.presence = Presence()
        self.threads = DatabaseThreads(settings.DATABASE_THREADS)
        self.exchange = Exchange(
            self.threads, batch_size=settings.OPAMP_BATCH_SIZE, queue_limit=settings.OPAMP_QUEUE_LIMIT
        )
        self.started_at = timezone.now()
        self.gate = Gate()
        self.complaints = Complaints()
        # Decoding takes many times the bytes of a message: never for several large ones at once (S-111).
        self.large_messages = asyncio.Semaphore(1)
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._expiries = 0

    def start(self) -> None:
        """Begin the chores on the running loop."""
        assert_fast_protobuf()
        doorbell.attach(self.on_ring, origin=self.process_id)
        chores: list[Coroutine[None, None, None]] = [self.exchange.work() for _ in range(self.threads.size)]
        chores += [
            _every(BEAT_SECONDS, "beat", self.beat),
            _every(settings.OPAMP_PRESENCE_SECONDS, "presence", self.flush_presence),
            _every(EXPIRE_SECONDS, "expiry", self.expire),
            _every(MISSED_CHANGE_SECONDS, "missed changes", self.find_missed_changes),
            doorbell.listen(),
        ]
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(chore) for chore in chores]
        # Thousands of links live long, and a batch makes tens of thousands of objects that die with it: collecting them
        # again and again took a fifth of a storm's CPU time, for garbage that is not there.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GARBAGE_THRESHOLDS)

    async def stop(self) -> None:
        """Write what is still in memory and end the chores; connections are closed by then."""
        if self._stopping:
            return
        self._stopping = True
        doorbell.detach(self.on_ring)
        try:
            await asyncio.wait_for(self.exchange.drain(), _DRAIN_SECONDS)
            await self.flush_presence()
            await self.threads.run(leases.retire, self.process_id)
        except (TimeoutError, DatabaseError) as error:
            # Nothing is lost for good: leases expire with the process, and a sequence gap brings the full state.
            logger.warning("stopping without the last batch", extra={"error": repr(error)})
        await _end(self._tasks)
        await doorbell.close()
        await asyncio.get_running_loop().run_in_executor(None, self.threads.close)

    # --- Rings -----------------------------------------------------------------------------------------------------

    def on_ring(self, uids: Sequence[UUID]) -> None:
        """Look at these agents: WebSocket agents now, HTTP agents with their next poll (S-21)."""
        for uid in uids:
            link = self.registry.links.get(uid)
            if link is None:
                continue
            if link.connection is None:
                link.due = True
            else:
                self.exchange.ring(link)

    async def find_missed_changes(self) -> None:
        """Rings may get lost; what changed lately and was not offered yet is looked for here."""
        if self.registry.links:
            self.on_ring(await self.threads.run(_changed_since, timezone.now() - _LOOK_BACK))

    # --- Chores ----------------------------------------------------------------------------------------------------

    async def beat(self) -> None:
        """Say that this process lives, so that nobody expires its agents."""
        await self.threads.run(leases.beat, self.process_id, started_at=self.started_at, at=timezone.now())

    async def flush_presence(self) -> None:
        """Write what heartbeats left in memory; a batch that fails is kept for the next time."""
        batch: list[Sighting] = self.presence.take()
        metrics.QUEUE_DEPTH.set(self.exchange.depth)
        metrics.CONNECTIONS.set(len(self.registry.connections))
        if not batch:
            return
        try:
            noted = await self.threads.run(leases.note_sightings, batch)
        except DatabaseError:
            self.presence.give_back()
            raise
        metrics.FLUSHED.inc(noted.written)
        self.presence.written(noted.displaced)

    async def expire(self) -> None:
        """Disconnect agents that are gone without a word, and forget silent HTTP agents' memory."""
        now = time.time()
        for link in self.registry.overdue(now - 60):
            self.registry.detach(link)
        thorough = self._expiries % _THOROUGH_EVERY == 0
        self._expiries += 1
        await self.threads.run(_expire, timezone.now(), thorough=thorough)


def _expire(at: datetime, *, thorough: bool) -> None:
    leases.expire_agents(at=at, thorough=thorough)
    commands.expire_commands(at=at)


def _changed_since(at: datetime) -> list[UUID]:
    return [*offers.pending_since(at), *commands.pending_uids(), *identity.untold_uids()]


async def _every(seconds: float, name: str, chore: Callable[[], Awaitable[None]]) -> None:
    """Run ``chore`` now and then; a database that is away does not end it."""
    while True:
        try:
            await chore()
        except DatabaseError as error:
            logger.warning("chore failed, will be tried again", extra={"chore": name, "error": str(error)[:200]})
        await asyncio.sleep(seconds)


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel until all are done: a library below may lose a cancellation that meets its own timeout."""
    pending = set(tasks)
    for _ in range(_CANCELLATIONS):
        for task in pending:
            task.cancel()
        if pending:
            _done, pending = await asyncio.wait(pending, timeout=0.5)
    if pending:
        logger.warning("tasks did not end", extra={"tasks": len(pending)})


_current: Runtime | None = None
_loop: asyncio.AbstractEventLoop | None = None


def current() -> Runtime:
    """The runtime of the running loop, started on first use."""
    global _current, _loop
    loop = asyncio.get_running_loop()
    if _current is None or _loop is not loop:
        _current, _loop = Runtime(), loop
        _current.start()
    return _current


async def stop() -> None:
    """Stop the running loop's runtime, if it was ever started."""
    global _current, _loop  # noqa: PLW0603
    runtime, loop = _current, _loop
    if runtime is not None and loop is asyncio.get_running_loop():
        _current = _loop = None
        await runtime.stop()
