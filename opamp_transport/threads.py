"""The one crossing from the event loop into database threads.

All ``sync_to_async`` work of a process would share one thread; this executor is bounded and named instead, with one
thread on SQLite (one writer, which keeps its connection) and a few on PostgreSQL, never more than its pool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import connection

from foundation.chores import Chore

P = ParamSpec("P")
T = TypeVar("T")


class DatabaseThreads:
    """A bounded executor whose threads leave no connection in a bad state behind."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._executor = ThreadPoolExecutor(size, thread_name_prefix="opamp-db")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``function`` in a database thread; its exceptions come through."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, _call, function, args, kwargs)

    def close(self) -> None:
        """Let running work end and close the threads' connections."""
        for _ in range(self.size):
            self._executor.submit(connection.close)
        self._executor.shutdown(wait=True)


class ApartThreads:
    """Threads of chores that others do not wait for: one of those that are apart, and one for each that has its own."""

    def __init__(self, chores: Sequence[Chore]) -> None:
        self._shared = DatabaseThreads(1)
        self._own = {chore.name: DatabaseThreads(1) for chore in chores if chore.of_its_own}

    def of(self, chore: Chore, others: DatabaseThreads) -> DatabaseThreads:
        """That of ``chore``; one that takes its turn with all others has that of the ``others``."""
        return self._own.get(chore.name) or (self._shared if chore.apart else others)

    def close(self) -> None:
        """Let running work end and close the threads' connections."""
        for threads in (self._shared, *self._own.values()):
            threads.close()


def _call(function: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]) -> T:
    try:
        return function(*args, **kwargs)
    finally:
        if connection.vendor == "sqlite":
            # Opening the file anew costs as much as a batch. An age limit is meant for servers that forget their clients.
            connection.close_at = None
            connection.close_if_unusable_or_obsolete()
        else:
            # Back into the pool: the thread may idle for long, and a broken connection must not be met again.
            connection.close()
