"""`Finding`: one problem and its place, and how text and places are shown."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from foundation.messages import Message

_MAX_SHOWN = 80
_UNWRITABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_LINE_BREAK = re.compile("\r\n|\r|\n")


class Severity(enum.StrEnum):
    """*Error*: agents refuse it, and so it blocks. *Warning*: they accept it, but hardly anybody means it."""

    ERROR = "error"
    WARNING = "warning"


class FindingKind(enum.StrEnum):
    """What was broken: the syntax of a file, the document as a whole, a rule of the Collector; whom it reaches; or
    that hidden values stay where they are.

    A document is wrong as a whole when it is empty, wrapped in another format, or when ``service`` is misspelt: what is
    in it may be right, but no Collector would run it. A template is wrong before anything comes of it, or has a password in
    clear text.
    """

    SYNTAX = "syntax"
    DOCUMENT = "document"
    COLLECTOR = "collector"
    TARGETING = "targeting"
    HIDDEN = "hidden"
    TEMPLATE = "template"


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem. ``line`` and ``column`` (characters) count from 1, and are 0 for what stands in no text.

    ``path`` leads to the value (``""``: the file) and is written ``service.pipelines.traces.receivers[0]``; ``file`` is the
    config key of the file. ``agents`` are some of those concerned, as row, uid and name.
    """

    severity: Severity
    kind: FindingKind
    message: Message
    line: int
    column: int
    path: str = ""
    file: str = ""
    agents: tuple[tuple[int, str, str], ...] = ()

    @property
    def blocks(self) -> bool:
        """True when agents would refuse it, run nothing of it, or a secret would be lost or let out."""
        return self.severity is Severity.ERROR

    @property
    def is_unreadable(self) -> bool:
        """True when nothing can be known of what else stands in the file."""
        return self.kind is FindingKind.SYNTAX and self.severity is Severity.ERROR

    @property
    def can_be_forced(self) -> bool:
        """True when a person may mean it nevertheless: other agents, and other Collectors, read what they like."""
        return self.kind in (FindingKind.DOCUMENT, FindingKind.COLLECTOR)

    def as_warning(self) -> Finding:
        """The same, not blocking."""
        return replace(self, severity=Severity.WARNING)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands: ``line`` and ``column`` from 1."""

    line: int
    column: int


START = Place(1, 1)


def place_at(text: str, index: int) -> Place:
    """The place of the character at ``index``; lines end as in editors, at LF, CR LF or CR."""
    line, line_start = 1, 0
    for line_break in _LINE_BREAK.finditer(text, 0, index):
        line, line_start = line + 1, line_break.end()
    return Place(line, index - line_start + 1)


def path_of(steps: Sequence[str | int]) -> str:
    """A path from keys and list positions: ``["a", 0, "b"]`` is ``a[0].b``."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{shown_value(step)}" for step in steps)
    return path.removeprefix(".")


def shown_value(text: str, most: int = _MAX_SHOWN) -> str:
    """``text`` for a message or a path: one line, at most ``most`` characters, always writable as UTF-8."""
    cut = text if len(text) <= most else text[: most - 1] + "…"
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", cut)


def repeated_key(path: Sequence[str | int], place: Place, first: Place) -> Finding:
    """The finding for a key that an object has twice; ``path`` ends with it, ``place`` is the second."""
    return Finding(
        severity=Severity.ERROR,
        kind=FindingKind.SYNTAX,
        message=Message(
            "repeated-key",
            'The key "{key}" already stands in line {line}; remove one of the two.',
            key=shown_value(str(path[-1])),
            line=first.line,
        ),
        line=place.line,
        column=place.column,
        path=path_of(path),
    )


class SyntaxProblem(Exception):
    """A reader cannot go on. Becomes a `Finding`."""

    def __init__(self, message: Message, place: Place, path: str = "") -> None:
        self.finding = Finding(Severity.ERROR, FindingKind.SYNTAX, message, place.line, place.column, path)
        super().__init__(message)
