"""What was worked out lately, by the hash of what it was worked out from: bounded memory of one process. Pure.

A hash says everything about its content, so nothing here can grow stale; what is bounded is how many bytes are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

_Value = TypeVar("_Value")


class Recent(Generic[_Value]):
    """At most ``most_bytes`` of values as ``size_of`` tells.

    Those used longest ago go first, the newest one is kept whatever its size.

    Safe to use from several threads.
    """

    def __init__(self, most_bytes: int, size_of: Callable[[_Value], int]) -> None:
        self._most_bytes = most_bytes
        self._size_of = size_of
        self._bytes = 0
        self._values: OrderedDict[str, _Value] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> _Value | None:
        """The value with this hash, ``None`` when it is not here."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def put(self, key: str, value: _Value) -> None:
        """Keep ``value``, and drop what has no room beside it."""
        with self._lock:
            if key in self._values:
                return
            self._values[key] = value
            self._bytes += self._size_of(value)
            while self._bytes > self._most_bytes and len(self._values) > 1:
                _key, oldest = self._values.popitem(last=False)
                self._bytes -= self._size_of(oldest)

    def found(self, key: str, make: Callable[[], _Value]) -> _Value:
        """The value with this hash, made when it is not here. Two threads may make it at once; neither waits."""
        value = self.get(key)
        if value is None:
            value = make()
            self.put(key, value)
        return value

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()
            self._bytes = 0
