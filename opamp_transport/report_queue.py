"""The queue between the consumers and the database: group commit, order per agent, pending replies.

Reports of many agents wait here; a database thread takes all of them (up to a batch) at once. Two messages of one agent
are never worked on at the same time (S-107). Wake-ups of connected agents pass through the same queue, so a push cannot
overtake the answer being made. Connections that closed are released here too, thousands in one transaction.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db import DatabaseError, InterfaceError, OperationalError

from agents.replies import ErrorResponse, ErrorType, Reply
from agents.reports import CustomMessage
from agents.services.arrivals import Arrival
from agents.services.custom_messages import take_custom_message
from agents.services.leases import release_leases
from agents.services.quotas import Quotas
from foundation.clock import clock
from opamp_transport import metrics
from opamp_transport.admission import retry_after_seconds
from opamp_transport.batch import Processed, answer_wakeups, process_reports
from opamp_transport.sessions import AgentSession
from opamp_transport.threads import DatabaseThreads

logger = logging.getLogger(__name__)

_RELEASES_AT_ONCE = 2_000
# While one batch is under way the next is collected, for a full one costs little more than a small one. A batch that
# takes this long waits for a lock: others need not wait with it.
_BATCH_PATIENCE_SECONDS = 0.5
# A batch costs some milliseconds, however small. While a fleet comes in, so many connections with each batch, the next one
# begins this long after the end of the last (seconds), or when it is full: a third less work for server and database.
_CROWD, _CROWD_SECONDS = 8, 0.04
_RELEASE_RETRY_SECONDS = 2.0
# While the database is away reports wait so long before their agents are told to come back later: a database that
# restarts is back by then, and nobody noticed.
_PATIENCE_SECONDS = 10.0
_NEXT_ATTEMPT_SECONDS = 0.5


class Overloaded(Exception):
    """The queue is full; nothing was recorded (S-104). ``retry_after_seconds`` is for the agent."""

    def __init__(self) -> None:
        super().__init__("The server is busy; try again later.")
        self.retry_after_seconds = retry_after_seconds()


class DatabaseAway(Exception):
    """The report could not be recorded, so it was not answered; state and sequence number are as before (S-45)."""

    def __init__(self) -> None:
        super().__init__("The server cannot reach its database; try again later.")
        self.retry_after_seconds = retry_after_seconds()


@dataclass(slots=True, eq=False)
class _Item:
    """A report with somebody waiting for its reply, or (``arrival`` is ``None``) a wake-up."""

    uid: UUID
    session: AgentSession
    arrival: Arrival | None = None
    future: asyncio.Future[Processed] | None = None
    queued_at: float = field(default_factory=time.perf_counter)


class ReportQueue:
    """Owns the queue and its workers; one per process. All methods belong to the event loop."""

    def __init__(
        self, threads: DatabaseThreads, *, batch_size: int, queue_limit: int, quotas: Quotas | None = None
    ) -> None:
        self._threads = threads
        self._quotas = quotas
        self._batch_size = batch_size
        self._queue_limit = queue_limit
        self._queue: deque[_Item] = deque()
        self._woken: set[UUID] = set()
        self._busy: set[UUID] = set()
        self._closed_leases: deque[str] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._working = 0
        self._last_batch_at = 0.0
        self._last_batch_ended_at = 0.0
        # Connections whose first word was in the last batch.
        self._newcomers = 0
        self._pushes: set[asyncio.Task[None]] = set()
        self._deliveries: set[asyncio.Task[None]] = set()

    @property
    def is_full(self) -> bool:
        """True when a further report would be refused."""
        return len(self._queue) >= self._queue_limit

    @property
    def depth(self) -> int:
        """Reports and wake-ups that wait."""
        return len(self._queue)

    async def submit(self, session: AgentSession, arrival: Arrival) -> Processed:
        """Have one report recorded and answered. Raises `Overloaded`, `DatabaseAway`."""
        if self.is_full:
            raise Overloaded
        future: asyncio.Future[Processed] = asyncio.get_running_loop().create_future()
        self._put(_Item(arrival.report.instance_uid, session, arrival, future))
        return await future

    def wake(self, session: AgentSession) -> None:
        """Look whether something is due to this connected agent; wake-ups that wait already are not doubled.

        While a push has not left yet, because the peer reads slowly, there is no use in making the next one: it would
        only wait in memory and be out of date (S-108).
        """
        if session.pushing:
            session.woken_meanwhile = True
        elif session.uid not in self._woken:
            self._woken.add(session.uid)
            self._put(_Item(session.uid, session))

    def release(self, lease_id: str) -> None:
        """A connection closed: mark its agents disconnected soon."""
        self._closed_leases.append(lease_id)
        self._wake.set()
        self._idle.clear()

    async def drain(self) -> None:
        """Return when nothing waits any more and nothing is being worked on."""
        await self._idle.wait()

    async def work(self) -> None:
        """Take batches for ever; run as many of these as there are database threads. Cancelled by its owner."""
        while True:
            await self._wake.wait()
            if not self._may_begin():
                self._wake.clear()
                continue
            # Let the other sockets that are ready now put their messages in: they share the transaction.
            await asyncio.sleep(self._patience())
            await self._work_on_what_waits()

    async def _work_on_what_waits(self) -> None:
        """One batch. Its reports belong to this call: nobody keeps them in memory until the next one comes."""
        batch = self._take()
        leases = [self._closed_leases.popleft() for _ in range(min(len(self._closed_leases), _RELEASES_AT_ONCE))]
        if not batch and not leases:
            self._wake.clear()
            return
        self._working += 1
        self._last_batch_at = time.monotonic()
        self._newcomers = sum(item.arrival is not None and item.arrival.first_word for item in batch)
        overdue = asyncio.get_running_loop().call_later(_BATCH_PATIENCE_SECONDS + 0.01, self._wake.set)
        try:
            if leases:
                await self._release(leases)
            if batch:
                await self._process(batch)
        finally:
            overdue.cancel()
            self._working -= 1
            self._last_batch_ended_at = time.monotonic()
            self._busy.difference_update(item.uid for item in batch)
            self._wake.set()
            if not (self._queue or self._closed_leases or self._working):
                self._wake.clear()
            self._rest()

    # --- Queue -----------------------------------------------------------------------------------------------------

    def _put(self, item: _Item) -> None:
        self._queue.append(item)
        self._idle.clear()
        if self._may_begin():
            self._wake.set()

    def _may_begin(self) -> bool:
        """True when a further batch should not wait for the one under way."""
        return (
            not self._working
            or len(self._queue) >= self._batch_size
            or time.monotonic() - self._last_batch_at >= _BATCH_PATIENCE_SECONDS
        )

    def _patience(self) -> float:
        """Seconds to wait for more reports; 0 unless agents come in crowds."""
        if self._newcomers < _CROWD or len(self._queue) >= self._batch_size:
            return 0
        return max(self._last_batch_ended_at + _CROWD_SECONDS - time.monotonic(), 0)

    def _take(self) -> list[_Item]:
        """The oldest items of distinct agents none of which is being worked on; the others keep their order."""
        batch: list[_Item] = []
        skipped: list[_Item] = []
        while self._queue and len(batch) < self._batch_size:
            item = self._queue.popleft()
            if item.uid in self._busy:
                skipped.append(item)
                continue
            if item.arrival is None:
                self._woken.discard(item.uid)
            self._busy.add(item.uid)
            batch.append(item)
        self._queue.extendleft(reversed(skipped))
        return batch

    # --- Work ------------------------------------------------------------------------------------------------------

    async def _process(self, batch: Sequence[_Item]) -> None:
        reports = [item for item in batch if item.arrival is not None]
        wakeups = [item for item in batch if item.arrival is None]
        if reports:
            metrics.BATCH_SIZE.observe(len(reports))
            await self._process_reports(reports)
        if wakeups:
            await self._answer_wakeups(wakeups)

    async def _process_reports(self, items: Sequence[_Item]) -> None:
        try:
            processed = await self._record(items)
        except (OperationalError, InterfaceError) as error:
            metrics.FAILED_BATCHES.labels("database away").inc()
            logger.warning("the database is out of reach", extra={"error": str(error)[:200], "reports": len(items)})
            await self._wait_for_database(items)
        except Exception as error:  # noqa: BLE001  whatever one report broke must cost only its own agent an error
            metrics.FAILED_BATCHES.labels("retried one by one").inc()
            if len(items) > 1:
                for item in items:
                    await self._process_reports([item])
            else:
                self._refuse(items[0], error)
        else:
            for item, result in zip(items, processed, strict=True):
                if result.custom_message is not None:
                    self._start(self._hand_over(result.agent_id, result.custom_message))
                _finish(item, result)

    async def _wait_for_database(self, items: Sequence[_Item]) -> None:
        """Put the items back where they were, those that waited long enough excepted; then pause before the next attempt."""
        latest = time.perf_counter() - _PATIENCE_SECONDS
        for item in items:
            if item.queued_at < latest:
                _fail(item, DatabaseAway())
        self._queue.extendleft(item for item in reversed(items) if item.queued_at >= latest)
        await asyncio.sleep(_NEXT_ATTEMPT_SECONDS)

    async def _record(self, items: Sequence[_Item]) -> list[Processed]:
        arrivals = [item.arrival for item in items if item.arrival is not None]
        return await self._threads.run(process_reports, arrivals, at=clock.now(), quotas=self._quotas)

    async def _hand_over(self, agent_id: int, message: CustomMessage) -> None:
        """Whoever takes these messages gets one after its commit, so that it can cost the report nothing."""
        try:
            await self._threads.run(take_custom_message, agent_id, message, at=clock.now())
        except DatabaseError as error:
            logger.warning("a custom message was lost", extra={"agent_id": agent_id, "error": str(error)[:200]})

    def _refuse(self, item: _Item, error: Exception) -> None:
        """A report that cannot be recorded is answered with an error; its sequence number does not count (S-45)."""
        metrics.REFUSALS.labels(item.session.transport.value, "not recordable").inc()
        logger.error("a report could not be recorded", exc_info=error, extra={"instance_uid": str(item.uid)})
        reply = Reply(
            instance_uid=item.uid.bytes,
            error=ErrorResponse(ErrorType.UNKNOWN, "The report could not be recorded; the server's log says why."),
        )
        _finish(item, Processed(item.session.agent_id, item.session.capabilities, reply))

    async def _answer_wakeups(self, items: Sequence[_Item]) -> None:
        woken = {item.uid: item.session.connection.lease for item in items if item.session.connection is not None}
        try:
            processed = await self._threads.run(answer_wakeups, woken, at=clock.now())
        except DatabaseError as error:
            # The rows are the truth; the next look for missed changes finds these agents again.
            logger.warning("wake-ups could not be answered", extra={"error": str(error)[:200], "agents": len(items)})
            return
        for item in items:
            result = processed.get(item.uid)
            if result is None:
                continue
            if result.denial is not None:
                self._start_push(self._reject(item.session, result))
                continue
            if not result.agent_id:
                # Forgotten: with its next message it registers itself anew.
                item.session.agent_id = 0
            if result.reply is not None:
                self._push(item.session, result)
            elif result.more_due:
                item.session.due = True

    def _start(self, delivery: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(delivery)
        self._deliveries.add(task)
        task.add_done_callback(self._finish_delivery)

    def _finish_delivery(self, task: asyncio.Task[None]) -> None:
        self._deliveries.discard(task)
        self._rest()

    def _rest(self) -> None:
        """Tell those who wait in `drain` when nothing is left; a push waits for its peer, and nobody for it."""
        if not (self._queue or self._closed_leases or self._working or self._deliveries):
            self._idle.set()

    def _push(self, session: AgentSession, result: Processed) -> None:
        session.pushing = True
        self._start_push(self._send(session, result))

    def _start_push(self, push: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(push)
        self._pushes.add(task)
        task.add_done_callback(self._pushes.discard)

    async def _reject(self, session: AgentSession, result: Processed) -> None:
        """The agent was shut out while it was connected (S-83). Whatever it says from now on is for the rows to judge."""
        connection, denial = session.connection, result.denial
        session.due = True
        if connection is None or denial is None or result.reply is None:
            return
        metrics.REFUSALS.labels(session.transport.value, denial.value).inc()
        logger.info("an agent is rejected", extra={"instance_uid": str(session.uid), "reason": denial.value})
        if connection.serves_others(session):
            await connection.push(result.reply)
        else:
            await connection.reject(result.reply)

    async def _send(self, session: AgentSession, result: Processed) -> None:
        connection = session.connection
        sent = False
        try:
            if connection is not None and result.reply is not None:
                sent = await connection.push(result.reply)
                metrics.PUSHES.labels("sent" if sent else "failed").inc()
        finally:
            session.pushing = False
            due = session.woken_meanwhile or result.more_due
            session.woken_meanwhile = False
        if sent and due:
            self.wake(session)

    async def _release(self, lease_ids: Sequence[str]) -> None:
        try:
            await self._threads.run(release_leases, lease_ids, reason="connection closed", at=clock.now())
        except DatabaseError as error:
            logger.warning("leases could not be released yet", extra={"error": str(error)[:200]})
            # Not waited for here: reports behind must get their answer meanwhile.
            asyncio.get_running_loop().call_later(_RELEASE_RETRY_SECONDS, self._release_again, lease_ids)

    def _release_again(self, lease_ids: Sequence[str]) -> None:
        self._closed_leases.extend(lease_ids)
        self._idle.clear()
        self._wake.set()


def _finish(item: _Item, result: Processed) -> None:
    metrics.REPORT_SECONDS.observe(time.perf_counter() - item.queued_at)
    if item.future is not None and not item.future.done():
        item.future.set_result(result)


def _fail(item: _Item, error: Exception) -> None:
    if item.future is not None and not item.future.done():
        item.future.set_exception(error)
