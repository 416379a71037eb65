"""Every single value of a YAML or JSON text, with its path and the characters it stands in. Pure; nothing is constructed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import yaml

from configurations.checks.findings import Place
from configurations.checks.tree import MAX_DEPTH

MOST_LEAVES = 50_000
"""Of one text, each alias counted with all it stands for."""

_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value: ``text[begin:end]`` with its quotes, tag and anchor. An empty object or list is one as well.

    ``style`` is ``""`` for plain ones, else the sign that opens it. ``indent`` is the column of its key or dash;
    ``in_flow`` within brackets. An alias gives the leaves of its anchor once more, in the anchor's place.
    """

    path: Path
    value: str
    begin: int
    end: int
    place: Place
    style: str
    in_flow: bool
    indent: int


@dataclass(frozen=True, slots=True)
class Leaves:
    """All values in order, and the ``spans`` of all texts that are none: keys."""

    values: tuple[Leaf, ...]
    keys: tuple[tuple[int, int], ...]


def leaves_of(text: str) -> Leaves | None:
    """``None`` when the text cannot be read: no YAML, too deep, too many values, or keys that are no single values."""
    try:
        return _Walk(text).leaves()
    except (yaml.YAMLError, _Unreadable):
        return None


class _Unreadable(Exception):
    """The text is YAML, but not of a kind that has paths."""


class _Walk:
    """The depth limit bounds the recursion: each level is admitted before it is entered."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0, *(found.end() for found in _BREAK.finditer(text))]
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.CSafeLoader)
        self._values: list[Leaf] = []
        self._keys: list[tuple[int, int]] = []
        # Of an anchor that is still open nothing is known: an alias to it is no leaf of anything.
        self._anchors: dict[str, tuple[Path, list[Leaf]]] = {}
        self._flows = 0

    def leaves(self) -> Leaves:
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                path: Path = () if documents == 1 else (f"document {documents}",)
                self._node(next(self._events), path, depth=0, indent=0)
        return Leaves(tuple(self._values), tuple(self._keys))

    def _node(self, event: yaml.Event, path: Path, *, depth: int, indent: int) -> None:
        if depth > MAX_DEPTH or len(self._values) > MOST_LEAVES:
            raise _Unreadable
        if isinstance(event, yaml.AliasEvent):
            self._alias(event, path, indent)
            return
        first = len(self._values)
        if isinstance(event, yaml.ScalarEvent):
            self._values.append(self._leaf(event, event, path, event.value, event.style or "", indent))
        else:
            self._flows += bool(event.flow_style)
            closing = (
                self._mapping(path, depth) if isinstance(event, yaml.MappingStartEvent) else self._sequence(path, depth)
            )
            self._flows -= bool(event.flow_style)
            if len(self._values) == first:
                empty = "{}" if isinstance(event, yaml.MappingStartEvent) else "[]"
                self._values.append(self._leaf(event, closing, path, empty, "", indent))
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self._anchors[str(event.anchor)] = (path, self._values[first:])

    def _mapping(self, path: Path, depth: int) -> yaml.Event:
        while not isinstance(key := next(self._events), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                raise _Unreadable
            self._keys.append((self._at(key.start_mark), self._at(key.end_mark)))
            if key.anchor is not None:
                self._anchors.pop(str(key.anchor), None)
            self._node(next(self._events), (*path, str(key.value)), depth=depth + 1, indent=key.start_mark.column)
        return key

    def _sequence(self, path: Path, depth: int) -> yaml.Event:
        number = 0
        while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
            self._node(item, (*path, number), depth=depth + 1, indent=max(item.start_mark.column - 2, 0))
            number += 1
        return item

    def _alias(self, event: yaml.AliasEvent, path: Path, indent: int) -> None:
        name = str(event.anchor)
        if name not in self._anchors:
            self._values.append(self._leaf(event, event, path, f"*{name}", "", indent))
            return
        origin, leaves = self._anchors[name]
        if len(self._values) + len(leaves) > MOST_LEAVES:
            raise _Unreadable
        self._values += [replace(leaf, path=(*path, *leaf.path[len(origin) :])) for leaf in leaves]

    def _leaf(self, first: yaml.Event, last: yaml.Event, path: Path, value: str, style: str, indent: int) -> Leaf:
        mark = first.start_mark
        return Leaf(
            path, value, self._at(mark), self._at(last.end_mark), Place(mark.line + 1, mark.column + 1), style,
            self._flows > 0, indent,
        )  # fmt: skip

    def _at(self, mark: yaml.Mark) -> int:
        line = min(mark.line, len(self._starts) - 1)
        return min(self._starts[line] + (mark.column if line == mark.line else len(self._text)), len(self._text))
