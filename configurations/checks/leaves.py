"""Every single value of a YAML or JSON text, with its path and place. Pure; nothing is constructed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import yaml

from configurations.checks.findings import START, Place
from foundation.nesting import NestedTooDeep, yaml_events

MOST_LEAVES = 50_000
"""Of one text, each alias counted with all it stands for."""

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value and where it stands. An empty object or list is one as well; an alias gives those of its anchor once more."""

    path: Path
    value: str
    place: Place


def leaves_of(text: str) -> list[Leaf] | None:
    """In order; ``None`` when the text cannot be read: no YAML, too deep, too many values, or keys that are no single values."""
    try:
        return _Walk(text).leaves()
    except (yaml.YAMLError, NestedTooDeep, UnicodeEncodeError, _Unreadable):
        return None


class _Unreadable(Exception):
    """The text is YAML, but not of a kind that has paths."""


class _Walk:
    """The events bound the depth of the recursion."""

    def __init__(self, text: str) -> None:
        self._events = yaml_events(text)
        self._values: list[Leaf] = []
        # Of an anchor that is still open nothing is known: an alias to it is no leaf of anything.
        self._anchors: dict[str, tuple[Path, list[Leaf]]] = {}

    def leaves(self) -> list[Leaf]:
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                self._node(next(self._events), () if documents == 1 else (f"document {documents}",))
        return self._values

    def _node(self, event: yaml.Event, path: Path) -> None:
        if len(self._values) > MOST_LEAVES:
            raise _Unreadable
        if isinstance(event, yaml.AliasEvent):
            self._alias(event, path)
            return
        first = len(self._values)
        if isinstance(event, yaml.ScalarEvent):
            self._add(event, path, str(event.value))
        elif isinstance(event, yaml.MappingStartEvent):
            self._mapping(path)
        else:
            self._sequence(path)
        if len(self._values) == first:
            self._add(event, path, "{}" if isinstance(event, yaml.MappingStartEvent) else "[]")
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self._anchors[str(event.anchor)] = (path, self._values[first:])

    def _mapping(self, path: Path) -> None:
        while not isinstance(key := next(self._events), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent) or key.anchor is not None:
                raise _Unreadable
            self._node(next(self._events), (*path, str(key.value)))

    def _sequence(self, path: Path) -> None:
        number = 0
        while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
            self._node(item, (*path, number))
            number += 1

    def _alias(self, event: yaml.AliasEvent, path: Path) -> None:
        name = str(event.anchor)
        if name not in self._anchors:
            self._add(event, path, f"*{name}")
            return
        origin, leaves = self._anchors[name]
        if len(self._values) + len(leaves) > MOST_LEAVES:
            raise _Unreadable
        self._values += [replace(leaf, path=(*path, *leaf.path[len(origin) :])) for leaf in leaves]

    def _add(self, event: yaml.Event, path: Path, value: str) -> None:
        mark = event.start_mark
        self._values.append(Leaf(path, value, Place(mark.line + 1, mark.column + 1) if mark else START))
