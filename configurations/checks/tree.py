"""What YAML and JSON have in common, as a tree that remembers places. Built bottom-up with hard limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from configurations.checks.findings import Place, SyntaxProblem
from foundation.messages import Message
from foundation.nesting import MAX_DEPTH

# Values in one file, each alias counted with all it stands for. A Collector configuration has some hundreds.
MAX_VALUES = 200_000


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A single value as text. ``is_bare``: without quotes and tag, so that it may be a number, true or false."""

    place: Place
    text: str
    is_null: bool = False
    is_bare: bool = False


@dataclass(frozen=True, slots=True)
class SequenceNode:
    """A list."""

    place: Place
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MappingNode:
    """An object. ``entries`` holds key and value in file order; of a repeated key the last one counts."""

    place: Place
    entries: tuple[tuple[Node, Node], ...]

    def named(self) -> Iterator[tuple[ScalarNode, Node]]:
        """The entries whose key is a single value: all that a configuration can have."""
        for key, value in self.entries:
            if isinstance(key, ScalarNode):
                yield key, value

    def get(self, name: str) -> Node | None:
        """The value under ``name``, or ``None``."""
        found = None
        for key, value in self.named():
            if key.text == name:
                found = value
        return found


Node: TypeAlias = ScalarNode | SequenceNode | MappingNode


@dataclass(frozen=True, slots=True)
class Measured:
    """A node with its ``height`` (1 for a scalar) and ``size``, the count of values in it with aliases written out."""

    node: Node
    height: int
    size: int


class Limits:
    """Refuses a file before it grows: `SyntaxProblem` at the value that is too deep or one too many."""

    def __init__(self) -> None:
        self._values = 0

    def admit(self, place: Place, *, depth: int, height: int = 1, size: int = 1) -> None:
        """Count ``size`` values at ``depth`` (0 for the document itself) whose tree is ``height`` high."""
        if depth + height > MAX_DEPTH:
            raise too_deep(place)
        self._values += size
        if self._values > MAX_VALUES:
            raise SyntaxProblem(
                Message(
                    "too-many-values",
                    "More than {most:,} values (aliases counted as if written out); split the file.",
                    most=MAX_VALUES,
                ),
                place,
            )


def too_deep(place: Place) -> SyntaxProblem:
    """The refusal of a value below `MAX_DEPTH` levels."""
    return SyntaxProblem(
        Message("nested-too-deep", "Nested more than {most} levels deep; flatten this part.", most=MAX_DEPTH), place
    )


def measured(node: Node, children: Sequence[Measured] = ()) -> Measured:
    """``node`` with height and size from those of its children."""
    if not children:
        return Measured(node, 1, 1)
    return Measured(
        node=node,
        height=1 + max((child.height for child in children), default=0),
        size=1 + sum(child.size for child in children),
    )


def is_empty(node: Node | None) -> bool:
    """True for an absent value and for null."""
    return node is None or (isinstance(node, ScalarNode) and node.is_null)
