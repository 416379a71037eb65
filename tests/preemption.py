"""Two database operations of which one is stopped in its midst: at each of its statements that can hold a lock in turn.

For PostgreSQL, where a transaction that waits for another one can be seen. Knows nothing of what the operations do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from django.db import connection

Operation = Callable[[], object]
_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.002
_HARMLESS = ("SAVEPOINT", "RELEASE")


def stopped_everywhere(prepare: Callable[[], tuple[Operation, Operation]]) -> int:
    """Run the two operations that ``prepare`` makes once for each lock the first may take; returns how often.

    Each time the first is stopped behind another statement, until the second has ended or waits for it; then it goes on.
    Raises what either raises, above all a deadlock.
    """
    stops = 0
    while True:
        first, second = prepare()
        if not _stopped_behind(stops + 1, first, second):
            return stops
        stops += 1


def _stopped_behind(statement: int, first: Operation, second: Operation) -> bool:
    """False when the first ended before it had run so many statements."""
    stopped = _Run(first, stop_behind=statement)
    stopped.start()
    _until(lambda: stopped.stands.is_set() or stopped.has_ended)
    was_stopped = stopped.stands.is_set()
    if was_stopped:
        other = _Run(second)
        other.start()
        _until(lambda: other.has_ended or other.waits)
        stopped.may_go_on.set()
        other.end()
    stopped.end()
    return was_stopped


def _until(claim: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not claim():
        assert time.monotonic() < deadline, "an operation neither ended nor waited for the other one"
        time.sleep(_POLL_SECONDS)


class _Run(threading.Thread):
    """An operation on a connection of its own."""

    def __init__(self, operation: Operation, *, stop_behind: int = 0) -> None:
        super().__init__(daemon=True)
        self._operation = operation
        self._stop_behind = stop_behind
        self._statements = 0
        self._error: BaseException | None = None
        self._backend = 0
        self.stands = threading.Event()
        self.may_go_on = threading.Event()

    @property
    def has_ended(self) -> bool:
        """True when it is through, or failed."""
        return not self.is_alive()

    @property
    def waits(self) -> bool:
        """True while it waits for a lock of another transaction."""
        if not self._backend:
            return False
        with connection.cursor() as cursor:
            cursor.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [self._backend])
            return bool(cursor.fetchone()[0])

    def end(self) -> None:
        """Wait for its end. Raises what it raised."""
        self.join(_PATIENCE_SECONDS)
        assert not self.is_alive()
        if self._error is not None:
            raise self._error

    def run(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                self._backend = cursor.fetchone()[0]
            with connection.execute_wrapper(self._execute):
                self._operation()
        except BaseException as error:  # noqa: BLE001  raised again where the test sees it
            self._error = error
        finally:
            connection.close()

    def _execute(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        found = execute(sql, params, many, context)
        reads_only = sql.startswith("SELECT") and "FOR UPDATE" not in sql and "advisory" not in sql
        if not (reads_only or sql.startswith(_HARMLESS)):
            self._statements += 1
            if self._statements == self._stop_behind:
                self.stands.set()
                assert self.may_go_on.wait(_PATIENCE_SECONDS)
        return found
