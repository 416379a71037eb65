"""What a query says, as a tree. ``start`` and ``end`` are characters of the text that was read."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias


class Operation(enum.StrEnum):
    """What a term asks. `IS` is of a word of ours, `HAS` and the equalities of a label, the comparisons of either."""

    IS = ":"
    EQUAL = "="
    UNEQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    HAS = "has"


@dataclass(frozen=True, slots=True)
class Value:
    """What is asked for; ``prefix``: whatever begins with it, written with ``*``, which alone is whatever is not empty."""

    text: str
    prefix: bool
    start: int

    def admits(self, actual: str) -> bool:
        """Whether a text is what is asked for."""
        if not self.prefix:
            return actual == self.text
        return actual.startswith(self.text) if self.text else actual != ""


@dataclass(frozen=True, slots=True)
class Term:
    """A word or a label with any of the ``values``; ``quoted``: the key stood in quotes, so that it is a label's."""

    key: str
    operation: Operation
    values: tuple[Value, ...]
    start: int
    end: int
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class FreeText:
    """Free text: a part of a name, or a whole instance UID."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Negation:
    """What ``part`` does not say."""

    part: Node
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Conjunction:
    """All ``parts``; none of them: every agent."""

    parts: tuple[Node, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Disjunction:
    """Any of ``parts``."""

    parts: tuple[Node, ...]
    start: int
    end: int


Node: TypeAlias = Term | FreeText | Negation | Conjunction | Disjunction
