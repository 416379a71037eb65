"""Work that many connections bring at the same moment, done piece by piece, with a pause where others need the time.

Between two pieces everybody else is served, so a storm or flood of peers delays the others by one piece and not by their
number. In the pauses what a piece leads to, answers and database work, finds the time it needs.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections import deque
from collections.abc import Callable
from typing import ClassVar


class PacedWork(enum.Enum):
    """What is paced, and the pause after each piece (seconds). One kind of work does not wait for another."""

    # 250 KiB a second of small messages from all that flood; of large ones up to 64 MiB, since they come in large pieces.
    PARSING = 0.004
    # A handshake costs a quarter of a millisecond, and leads to a report that costs several times that. Where the loop is not
    # behind, the next one follows at once: nobody needs the time. A crowd that only knocks is answered in the pauses of others.
    HANDSHAKE = 0.0015


# A loop that comes round later than this (seconds) has others to serve, or waits for a thread that computes. At rest it takes a
# tenth of it.
_BEHIND = 0.0005


class Pacing:
    """A queue of callables of one kind."""

    _queues: ClassVar[dict[PacedWork, Pacing]] = {}

    def __init__(self, loop: asyncio.AbstractEventLoop, work: PacedWork) -> None:
        self.loop = loop
        self._pause = work.value
        self._waiting: deque[Callable[[], None]] = deque()
        self._always = work is PacedWork.PARSING
        self._not_before = 0.0
        self._due_at = 0.0
        self._scheduled = False

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop, work: PacedWork) -> Pacing:
        """The queue of this loop; one that belonged to a former loop is forgotten."""
        queue = cls._queues.get(work)
        if queue is None or queue.loop is not loop:
            queue = cls._queues[work] = cls(loop, work)
        return queue

    def add(self, piece: Callable[[], None]) -> None:
        """Have ``piece`` called after those before it, at the earliest in the next iteration of the loop."""
        self._waiting.append(piece)
        self._schedule()

    def _schedule(self) -> None:
        if self._scheduled:
            return
        self._scheduled = True
        now = time.monotonic()
        wait = self._not_before - now
        self._due_at = max(now, self._not_before)
        if wait <= 0:
            self.loop.call_soon(self._run_next)
        else:
            self.loop.call_later(wait, self._run_next)

    def _run_next(self) -> None:
        self._scheduled = False
        if time.monotonic() < self._not_before:
            # Timers count whole milliseconds from when the loop last looked at its clock, and so come early.
            self._schedule()
            return
        # The loop's own clock stands still while a piece works.
        begun = time.monotonic()
        try:
            self._waiting.popleft()()
        finally:
            done = time.monotonic()
            if self._always or begun - self._due_at > _BEHIND or done - begun > self._pause:
                # One that took long is followed by a pause as long: half of the time at most.
                self._not_before = done + max(self._pause, done - begun)
            if self._waiting:
                self._schedule()
