"""What one server process keeps running for its agents: the report queue's workers, presence batches, the wakeups, its beat.

Started by the first of: the server's lifespan, an agent's first request. Stopped by the lifespan.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import random
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.db import DatabaseError

from agents.extensions import know_secrets
from agents.services import commands, leases, offers, processes, retention
from agents.services.arrivals import Lease
from agents.services.leases import Claim
from agents.services.processes import ProcessWatch
from agents.services.quotas import Quotas
from foundation import wakeups
from foundation.chores import Chore, registered_chores
from foundation.clock import clock, read_database_clock
from opamp_transport import metrics
from opamp_transport.admission import Gate
from opamp_transport.hastened_chores import HastenedChores
from opamp_transport.limits import Complaints
from opamp_transport.newcomers import Newcomers
from opamp_transport.presence import Presence
from opamp_transport.protocol.messages import assert_fast_protobuf
from opamp_transport.report_queue import ReportQueue
from opamp_transport.sessions import Connection, Sessions
from opamp_transport.threads import ApartThreads, DatabaseThreads
from rollouts.services import freezing

logger = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
MISSED_CHANGE_SECONDS = 3.0
EXPIRE_SECONDS = 5.0
PRUNE_SECONDS = 600.0
GARBAGE_SECONDS = 10.0
# A change is looked for again this long after its time stamp: its transaction may have committed late.
_LOOK_BACK = timedelta(seconds=60)
# Agents are sent away over so many seconds when the server stops, and no faster than needed for few of them.
_FAREWELL_SECONDS = 4.0
_FAREWELLS_PER_SECOND = 100
_FAREWELL_SLICE_SECONDS = 0.1
_DRAIN_SECONDS = 5.0
# When agents are handed over so many are on their way at once, and none for so long means that nobody comes back any more.
_HANDED_OVER_AT_ONCE, _HANDOVER_SECONDS = 200, 10.0
# Python's own are 700, 10, 10. The first bounds how many objects of dead cycles can pile up.
_GARBAGE_THRESHOLDS = (50_000, 20, 50)
_MIDDLE_EVERY = 20
# Every message that arrives takes the interpreter anew; while a database thread computes it would wait Python's own 5 ms for
# that, each (seconds).
_SWITCH_SECONDS = 0.0005
# What runs for ever begins again so long after a mistake ended it.
_AGAIN_SECONDS = 5.0
_CANCELLATIONS = 10


class Runtime:
    """The process's sessions, report queue and chores. One per event loop; see `current`."""

    def __init__(self) -> None:
        self.process_id = uuid4().hex
        self.sessions = Sessions()
        self.presence = Presence()
        # One batch at a time: a batch that fails is given back whole.
        self._flushing = asyncio.Lock()
        self.threads = DatabaseThreads(settings.DATABASE_THREADS)
        # Chores do not wait behind reports, nor reports behind chores; only the expiry waits for what was heard before it.
        self.chore_threads = DatabaseThreads(1)
        self.apart_threads = ApartThreads(registered_chores())
        self.hastened = HastenedChores(lambda: self.leads)
        self.newcomers = Newcomers()
        self.report_queue = ReportQueue(
            self.threads,
            batch_size=settings.OPAMP_BATCH_SIZE,
            queue_limit=settings.OPAMP_QUEUE_LIMIT,
            quotas=Quotas(self.newcomers.admits),
        )
        self.started_at = clock.now()
        self.gate = Gate()
        self.complaints = Complaints()
        # Decoding takes many times the bytes of a message: never for several large ones at once (S-111).
        self.large_messages = asyncio.Semaphore(1)
        self.watch = ProcessWatch()
        self.leads = False
        self._looked_at = self.started_at
        self._collections = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving = False
        self._stopping = False
        # Leases that are left to the connections which take them over; `None` while none are.
        self._handed_over: list[str] | None = None

    @property
    def refuses(self) -> bool:
        """True while newcomers should try again later: the queue is full, or the server is about to stop."""
        return self._leaving or self.report_queue.is_full

    def start(self) -> None:
        """Begin the chores on the running loop."""
        assert_fast_protobuf()
        wakeups.attach(self.on_wakeup, origin=self.process_id, hastened=self.hastened.note)
        chores: list[Coroutine[None, None, None]] = [
            _every(_AGAIN_SECONDS, "report queue", self.report_queue.work) for _ in range(self.threads.size)
        ]
        chores += [
            _every(_AGAIN_SECONDS, "wakeups", wakeups.listen),
            _every(BEAT_SECONDS, "beat", self.beat),
            _every(settings.OPAMP_PRESENCE_SECONDS, "presence", self.flush_presence),
            _every(EXPIRE_SECONDS, "expiry", self.expire),
            _every(PRUNE_SECONDS, "retention", self.prune),
            _every(MISSED_CHANGE_SECONDS, "missed changes", self.find_missed_changes),
            _every(GARBAGE_SECONDS, "garbage", self.collect_garbage),
        ]
        chores += [_every(*self.hastened.paced(chore, self.do)) for chore in registered_chores()]
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(chore) for chore in chores]
        # Thousands of sessions live long, and a batch makes tens of thousands of objects that die with it: collecting them
        # again and again took a fifth of a storm's CPU time, for garbage that is not there. What agents cost is freed
        # without it; pages leave garbage, and `collect_garbage` comes for that at its time.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GARBAGE_THRESHOLDS)
        sys.setswitchinterval(_SWITCH_SECONDS)

    def release(self, lease: Lease, *, sent_away: bool) -> None:
        """A connection with agents has closed: they are disconnected, unless another process is about to have them."""
        if sent_away and self._handed_over is not None:
            self._handed_over.append(lease.id)
        else:
            self.report_queue.release(lease.id)

    async def send_away(self) -> None:
        """Refuse newcomers, and close the agents' connections in slices, so that they do not come back as one herd."""
        self._leaving = True
        await self._close_in_slices()

    async def hand_over(self) -> None:
        """Close the agents' connections while other processes accept theirs, as fast as those can take the agents.

        They are not shown disconnected meanwhile; those that nobody has taken over after a while are.
        """
        self._handed_over = []
        logger.info("agents are handed over", extra={"connections": len(self.sessions.connections)})
        fewest = math.inf
        stalled_at = time.monotonic() + _HANDOVER_SECONDS
        while time.monotonic() < stalled_at:
            held = await self.chore_threads.run(leases.held_by, self.process_id)
            if held < fewest:
                fewest, stalled_at = held, time.monotonic() + _HANDOVER_SECONDS
            connections = list(self.sessions.connections)
            if not connections and not held:
                break
            away = held - sum(len(connection.sessions) for connection in connections)
            random.shuffle(connections)
            await asyncio.gather(*(_close(each) for each in connections[: max(_HANDED_OVER_AT_ONCE - away, 0)]))
            await asyncio.sleep(_FAREWELL_SLICE_SECONDS)
        await self._close_in_slices()
        left, self._handed_over = self._handed_over, None
        await self.chore_threads.run(leases.release_leases, left, reason="connection closed", at=clock.now())

    async def _close_in_slices(self) -> None:
        connections = list(self.sessions.connections)
        random.shuffle(connections)
        seconds = min(_FAREWELL_SECONDS, len(connections) / _FAREWELLS_PER_SECOND)
        slices = max(round(seconds / _FAREWELL_SLICE_SECONDS), 1)
        logger.info("agents are sent away", extra={"connections": len(connections), "seconds": seconds})
        for number in range(slices):
            await asyncio.gather(*(_close(connection) for connection in connections[number::slices]))
            await asyncio.sleep(_FAREWELL_SLICE_SECONDS if number < slices - 1 else 0)

    async def stop(self) -> None:
        """Write what is still in memory and end the chores; connections are closed by then."""
        if self._stopping:
            return
        self._stopping = True
        wakeups.detach(self.on_wakeup)
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                await self.report_queue.drain()
                await self.flush_presence()
                await self.chore_threads.run(processes.retire, self.process_id)
        except (TimeoutError, DatabaseError) as error:
            # Nothing is lost for good: leases expire with the process, and a sequence gap brings the full state.
            logger.warning("stopping without the last batch", extra={"error": repr(error)})
        await _end(self._tasks)
        clock.forget()
        await wakeups.close()
        for threads in (self.threads, self.chore_threads, self.apart_threads):
            await asyncio.get_running_loop().run_in_executor(None, threads.close)

    # --- Wake-ups -----------------------------------------------------------------------------------------------------

    def on_wakeup(self, uids: Sequence[UUID]) -> None:
        """Look at these agents: WebSocket agents now, HTTP agents with their next poll (S-21)."""
        for uid in uids:
            session = self.sessions.by_uid.get(uid)
            if session is None:
                continue
            if session.connection is None:
                session.due = True
            else:
                self.report_queue.wake(session)

    async def find_missed_changes(self) -> None:
        """Wake-ups may get lost; what changed since the last look, and was not offered yet, is looked for here."""
        now = clock.now()
        if self.sessions.by_uid:
            self.on_wakeup(await self.chore_threads.run(_missed_since, min(self._looked_at, now) - _LOOK_BACK))
        self._looked_at = now

    # --- Chores ----------------------------------------------------------------------------------------------------

    async def beat(self) -> None:
        """Go by the database's time, and say that this process lives; agents that others expired are taken back."""
        if not await self.chore_threads.run(self._beat):
            await self.reclaim()

    def _beat(self) -> bool:
        """In a database thread; false when this process had no row."""
        moved = clock.follow(read_database_clock())
        if moved:
            # Nobody is expired before every process has noticed it.
            logger.warning("the clock jumped: deadlines begin anew", extra={"seconds": moved.total_seconds()})
            self.watch.note_jump(time.monotonic())
        self.newcomers.tell(clock.now())
        know_secrets()
        return processes.beat(self.process_id, started_at=self.started_at, at=clock.now())

    async def flush_presence(self) -> None:
        """Write what heartbeats left in memory; a batch that fails is kept for the next time."""
        async with self._flushing:
            batch = self.presence.take()
            metrics.QUEUE_DEPTH.set(self.report_queue.depth)
            metrics.CONNECTIONS.set(len(self.sessions.connections))
            if not batch:
                return
            try:
                written = await self.threads.run(leases.note_sightings, batch, at=clock.now())
            except DatabaseError:
                self.presence.give_back()
                raise
            metrics.FLUSHED.inc(written.written)
            self.presence.note_written(written.displaced)

    async def reclaim(self) -> None:
        """Connect agents again that are here although their rows say disconnected; those over HTTP with their next poll."""
        sessions = [
            session for session in self.sessions.by_uid.values() if session.connection is not None and session.known
        ]
        claims = [
            Claim(session.agent_id, session.connection.lease) for session in sessions if session.connection is not None
        ]
        if not claims:
            return
        restored = set(await self.chore_threads.run(leases.reclaim, claims, at=clock.now()))
        for session in sessions:
            if session.agent_id in restored and session.connection is not None and not self.sessions.holds(session):
                # It closed during the reclaim; its release may have come first.
                self.report_queue.release(session.connection.lease.id)
        self.on_wakeup([session.uid for session in sessions if session.agent_id in restored])

    async def expire(self) -> None:
        """Forget silent HTTP agents' memory; the leading process disconnects agents that are gone without a word."""
        for session in self.sessions.overdue(time.monotonic() - 60):
            self.sessions.detach(session)
        # Whoever was heard is not silent, also when a busy database has not let that into the rows yet.
        await self.flush_presence()
        leads = await self.chore_threads.run(_look_after, self.watch, self.process_id, clock.now())
        if leads != self.leads:
            logger.info("this process leads" if leads else "another process leads")
        self.leads = leads

    async def do(self, chore: Chore) -> None:
        """What an app has the leading process do."""
        done: int | None = 1
        while self.leads and done:
            done = await self.apart_threads.of(chore, self.chore_threads).run(chore.run, clock.now())
            await asyncio.sleep(retention.PAUSE_SECONDS if chore.has_time else 0)

    async def collect_garbage(self) -> None:
        """Free what pages left lately: a fleet at rest makes so few objects that it would pile up for a quarter of an hour.

        Only the youngest, which takes milliseconds however many agents are here; now and then those that were in use the
        first time as well. An edit of a large configuration leaves several times its size.
        """
        self._collections += 1
        gc.collect(0 if self._collections % _MIDDLE_EVERY else 1)

    async def prune(self) -> None:
        """The leading process deletes what is kept no longer, a small batch at a time; not by a clock that is in doubt."""
        if not self.leads:
            return
        at = clock.now()
        jumped = self.watch.jumped_within(retention.DOUBT_SECONDS, time.monotonic())
        if jumped or await self.chore_threads.run(retention.is_clock_behind, at):
            logger.warning(
                "nothing is pruned: the clock is in doubt", extra={"clock": at.isoformat(), "jumped": jumped}
            )
            return
        for kind in retention.pruned_kinds():
            steps = retention.prune(kind, at=at)
            while True:
                deleted: int = await self.chore_threads.run(next, steps, 0)
                if not deleted:
                    break
                await asyncio.sleep(retention.PAUSE_SECONDS)


def _missed_since(at: datetime) -> list[UUID]:
    """In a database thread: who was not told of something new, or of what a freeze held back."""
    return [*offers.pending_since(at), *freezing.released_since(at)]


async def _close(connection: Connection) -> None:
    """One peer that does not take its leave must not hold up the others."""
    try:
        await asyncio.wait_for(connection.close(), _FAREWELL_SLICE_SECONDS)
    except (TimeoutError, OSError, RuntimeError) as error:
        logger.info("a connection could not be closed in order", extra={"error": repr(error)})


def _look_after(watch: ProcessWatch, process_id: str, at: datetime) -> bool:
    """Watch the other processes; true when this one leads, and then everything overdue is expired."""
    now = time.monotonic()
    dead = watch.look(processes.beats(), now)
    if not processes.lead(process_id, at=at):
        return False
    for other in dead:
        if other.process_id != process_id:
            leases.expire_process(other.process_id, beat_at=other.beat_at, at=at)
    if watch.holders_due(now):
        for holder in watch.lost_holders(processes.unknown_holders(), now):
            leases.expire_process(holder, beat_at=None, at=at)
    if watch.renewal_due(now):
        leases.renew_deadlines(at=at)
    if watch.is_steady(now):
        leases.expire_agents(at=at)
    if not watch.jumped_within(commands.OBSERVATION_TIME.total_seconds(), now):
        commands.expire_commands(at=at)
    return True


async def _every(seconds: float, name: str, chore: Callable[[], Awaitable[None]]) -> None:
    """Run ``chore`` now and then; neither a database that is away nor a mistake in one run ends it."""
    while True:
        try:
            await chore()
        except DatabaseError as error:
            logger.warning("chore failed, will be tried again", extra={"chore": name, "error": str(error)[:200]})
        except Exception:  # a process whose beat had ended would lose its agents again and again
            logger.exception("chore failed by a mistake, will be tried again", extra={"chore": name})
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
