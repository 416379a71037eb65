"""Changed rows that wait to be told, as many as are worth naming. Pure; safe to fill from several threads."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# Of one kind of rows so many are named; beyond that the hint says that there were more.
MOST_KEYS = 1_000
_MOST_MODELS = 50
_LONGEST = 100


@dataclass(frozen=True, slots=True)
class Changed:
    """Keys of changed rows of one kind; ``more`` when there were others."""

    keys: frozenset[str]
    more: bool = False


class Changes:
    """What has changed since it was last taken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[str, set[str]] = {}
        self._more: set[str] = set()

    def add(self, model: str, keys: Iterable[str], *, more: bool = False) -> None:
        """Note rows of one kind."""
        with self._lock:
            found = self._keys.get(model)
            if found is None:
                if len(self._keys) >= _MOST_MODELS:
                    return
                found = self._keys[model] = set()
            for key in keys:
                if len(found) >= MOST_KEYS and key not in found:
                    more = True
                    break
                found.add(key)
            if more:
                self._more.add(model)

    def take(self) -> dict[str, Changed]:
        """All of it, by kind; nothing is left."""
        with self._lock:
            keys, self._keys = self._keys, {}
            more, self._more = self._more, set()
        return {model: Changed(frozenset(found), model in more) for model, found in keys.items()}

    def __bool__(self) -> bool:
        return bool(self._keys)


def packed(changes: Mapping[str, Changed]) -> list[list[Any]]:
    """For another process."""
    return [[model, sorted(changed.keys), changed.more] for model, changed in changes.items()]


def unpack_into(changes: Changes, message: object) -> None:
    """Note what another process says; whatever has another shape is left out."""
    for item in message if isinstance(message, list) else ():
        match item:
            case [str(model), list(keys), bool(more)] if len(model) <= _LONGEST:
                named = [key for key in keys[:MOST_KEYS] if isinstance(key, str) and len(key) <= _LONGEST]
                changes.add(model, named, more=more)
