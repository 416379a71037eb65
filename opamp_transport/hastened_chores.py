"""Does chores at their time, or sooner when something happened that they are for, or when they said so (`foundation.hastening`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from foundation.chores import Chore
from foundation.hastening import hastened_chores, taken_wish

# A chore that is hastened again and again takes no more than this part of the time.
_PART = 10

Run = Callable[[], Awaitable[None]]


class HastenedChores:
    """Which of this process's chores are wanted soon. On the event loop."""

    def __init__(self, leads: Callable[[], bool]) -> None:
        self._leads = leads
        self._wanted = {name: asyncio.Event() for name in hastened_chores()}

    def note(self, name: str) -> bool:
        """It is wanted soon; returns whether this process does it."""
        leads = self._leads()
        if leads and name in self._wanted:
            self._wanted[name].set()
        return leads

    def paced(self, chore: Chore, do: Callable[[Chore], Awaitable[None]]) -> tuple[float, str, Run]:
        """Seconds, name and what to call for ever with these seconds between.

        Of a chore that can be hastened the call waits itself, and the seconds are none.
        """
        soonest, wanted = hastened_chores().get(chore.name), self._wanted.get(chore.name)
        if soonest is None or wanted is None:
            return chore.seconds, chore.name, lambda: do(chore)

        async def at_its_time() -> None:
            # Before it runs: what happens while it does, it may have missed.
            wanted.clear()
            began = time.monotonic()
            try:
                await do(chore)
            finally:
                took = time.monotonic() - began
                rest = min(max(soonest, (_PART - 1) * took), chore.seconds)
                wish = taken_wish(chore.name)
                pause = chore.seconds if wish is None else min(wish, chore.seconds)
                await asyncio.sleep(rest)
                with suppress(TimeoutError):
                    await asyncio.wait_for(wanted.wait(), max(pause - rest, 0.001))

        return 0.0, chore.name, at_its_time
