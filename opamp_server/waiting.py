"""What the tasks of a connection wait for: the next event, and that the peer reads.

asyncio's queues and events would do, but each keeps deques for waiters that there never are: 3 KiB for a connection that
mostly waits. Here one task receives.
"""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Events in order, for one receiver."""

    __slots__ = ("_events", "_receiver")

    def __init__(self) -> None:
        self._events: list[T] = []
        self._receiver: asyncio.Future[None] | None = None

    def empty(self) -> bool:
        """True when nothing waits."""
        return not self._events

    def put_nowait(self, event: T) -> None:
        """Add one, and wake the receiver."""
        self._events.append(event)
        if self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)

    def arrival(self) -> asyncio.Future[None]:
        """Done when something may be here. Raises RuntimeError for a second receiver."""
        if self._receiver is not None and not self._receiver.done():
            raise RuntimeError("another task receives already")
        self._receiver = asyncio.get_running_loop().create_future()
        if self._events:
            self._receiver.set_result(None)
        return self._receiver

    def take(self) -> T:
        """The oldest event. Raises IndexError when there is none."""
        self._receiver = None
        return self._events.pop(0)


class WakeFlag:
    """Set or not, as `asyncio.Event`; set to begin with."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] | None = None

    def is_set(self) -> bool:
        """True when nobody needs to wait."""
        return self._waiters is None

    def clear(self) -> None:
        """From now on there is something to wait for."""
        if self._waiters is None:
            self._waiters = []

    def set(self) -> None:
        """Let all go on."""
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self) -> None:
        """Return when it is set, or has been for a moment."""
        if self._waiters is not None:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
