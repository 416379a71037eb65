"""Work that many connections bring at the same moment, done piece by piece with a pause between two pieces.

In the pauses everybody else is served, so a storm or flood of peers delays the others by one piece and not by their
number; and what a piece leads to, answers and database work, finds the time it needs.
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
    # A handshake costs a quarter of a millisecond, and timers are a little late. So those of 10,000 clients take two workers 12 s,
    # and a crowd that only knocks takes a fifth of the time.
    HANDSHAKE = 0.0015


class Pacing:
    """A queue of callables of one kind."""

    _queues: ClassVar[dict[PacedWork, Pacing]] = {}

    def __init__(self, loop: asyncio.AbstractEventLoop, work: PacedWork) -> None:
        self.loop = loop
        self._pause = work.value
        self._waiting: deque[Callable[[], None]] = deque()
        self._not_before = 0.0
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
        wait = self._not_before - time.monotonic()
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
            # One that took long is followed by a pause as long: half of the time at most.
            done = time.monotonic()
            self._not_before = done + max(self._pause, done - begun)
            if self._waiting:
                self._schedule()
