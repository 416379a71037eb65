"""What two states of a configuration's files differ in, line by line: found in the true texts, shown without their secrets. Pure.

A hidden value stands in a line as a mark that is the same for the same value; so lines differ when a secret does, and
neither the old nor the new one is seen.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from agents.recent import Recent
from agents.redaction import HIDDEN, known
from agents.reports import JsonObject
from agents.shown import text_shown
from foundation.messages import Message

MOST_LINES = 2_000
"""Lines that are shown of one difference."""

MOST_COMPARED = 2_000
"""Lines on either side, between what both begin and end with, up to which their order is looked at: that costs the product."""

_CONTEXT = 3
_KEPT_BYTES = 8 * 1024 * 1024
_MARK = re.compile(r"\ue000(\d+)\ue001")
_OTHER_MARKS = re.compile("[\ue000\ue001]")
_CLASSES = {"+": "ins", "-": "del", "@": "hunk"}


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line of a unified diff with the class that colours it; ``hidden_change``: a hidden value in it is another one now.

    ``text`` is a message where it does not stand in a file; then ``sign`` is what a line begins with.
    """

    text: Message | str
    kind: str
    hidden_change: bool = False
    sign: str = ""


_differences: Recent[list[DiffLine]] = Recent(
    _KEPT_BYTES, lambda lines: 256 + sum(200 + 4 * len(str(line.text)) for line in lines)
)


def remembered(former: str, present: str, make: Callable[[], list[DiffLine]]) -> list[DiffLine]:
    """What ``make`` finds between the files of these two hashes, found once while it is remembered."""
    # What is hidden of them changes with the secrets that are known.
    return _differences.found(f"{former}:{present}:{known.version()}", make)


def difference(before: Mapping[str, JsonObject], after: Mapping[str, JsonObject]) -> list[DiffLine]:
    """A unified diff of all files in their stored form; at most 2,000 lines."""
    lines: list[DiffLine] = []
    for name in sorted({*before, *after}):
        former, present = before.get(name), after.get(name)
        if former == present:
            continue
        for line in _of_file(name, former, present):
            if len(lines) == MOST_LINES:
                return [*lines, DiffLine("…", "hunk")]
            lines.append(line)
    return lines


def _of_file(key: str, former: JsonObject | None, present: JsonObject | None) -> Iterator[DiffLine]:
    marks: dict[str, int] = {}
    name = key or Message("main-file", "main file")
    for file, sign in ((former, "---"), (present, "+++")):
        said = Message("no-such-file", "(no such file)") if file is None else name
        yield DiffLine(said, "file", sign=f"{sign} ")
    for facts, sign, kind in ((_facts(former, present), "-", "del"), (_facts(present, former), "+", "ins")):
        yield from (DiffLine(fact, kind, sign=sign) for fact in facts)
    sides = [_marked(file or {}, marks) for file in (former, present)]
    gone: dict[str, set[str]] = {}
    for line in _unified(*sides):
        plain, found = _MARK.sub(HIDDEN, line), "".join(_MARK.findall(line))
        changed = False
        if line[:1] == "-" and found:
            gone.setdefault(plain[1:], set()).add(found)
        elif line[:1] == "+" and found:
            changed = bool(gone.get(plain[1:], set()) - {found})
        elif line[:1] == "@":
            gone = {}
        yield DiffLine(plain, _CLASSES.get(line[:1], ""), changed)


def _facts(file: JsonObject | None, other: JsonObject | None) -> Iterator[Message]:
    """What is told of ``file`` beside its text where that is not the same of the ``other``."""
    if file is None:
        return
    other = other or {}
    content_type, role = (str(file.get(name, "")) for name in ("content_type", "role"))
    if content_type and content_type != other.get("content_type"):
        yield Message("content-type-is", "content type: {value}", value=content_type)
    if role and role != other.get("role"):
        yield Message("role-is", "role: {value}", value=role)
    if file.get("template") and not other.get("template"):
        yield Message("is-template", "template")
    if "body_base64" in file and file["body_base64"] != other.get("body_base64"):
        yield Message("bytes-without-text", "{count} bytes that are no text", count=_size(str(file["body_base64"])))


def _size(encoded: str) -> int:
    try:
        return len(base64.b64decode(encoded))
    except binascii.Error:
        return 0


def _marked(file: JsonObject, marks: dict[str, int]) -> list[str]:
    """The lines as they are shown, a mark in place of each hidden value."""
    if "body_base64" in file:
        return [_mark(str(file["body_base64"]), marks)]
    text = _OTHER_MARKS.sub("\ufffd", str(file.get("body", "")))
    shown = text_shown(text)
    pieces = shown.split(HIDDEN)
    parts = [pieces[0]]
    for piece, hidden in zip(pieces[1:], values_behind(text, shown), strict=True):
        parts += [_mark(hidden, marks), piece]
    return "".join(parts).splitlines()


def _mark(value: str, marks: dict[str, int]) -> str:
    return f"\ue000{marks.setdefault(value, len(marks))}\ue001"


def values_behind(text: str, shown: str) -> list[str]:
    """What stands in ``text`` where ``shown`` has `HIDDEN`, in order.

    Where the text around it does not tell, a value comes out with some of that text: it is compared, never shown.
    """
    first, *others = shown.split(HIDDEN)
    # Quotes around a placeholder are the redactor's own, unless they stand in the text as well.
    position = len(first) if text.startswith(first) else len(first.removesuffix('"'))
    values: list[str] = []
    for number, piece in enumerate(others, 1):
        literal = piece.removeprefix('"')
        if number == len(others):
            end = len(text) - len(literal) if text.endswith(literal) else len(text)
        else:
            literal = literal.removesuffix('"')
            end = text.find(literal, position)
        end = max(end, position)
        values.append(text[position:end])
        position = end + len(literal)
    return values


def _unified(former: Sequence[str], present: Sequence[str]) -> Iterator[str]:
    """As `difflib.unified_diff` without its heads, and bounded: where too much differs, all of it is taken for replaced."""
    start = 0
    shortest = min(len(former), len(present))
    while start < shortest and former[start] == present[start]:
        start += 1
    end = 0
    while end < shortest - start and former[-1 - end] == present[-1 - end]:
        end += 1
    # What is alike beside the rest is context alone.
    first, last = max(start - _CONTEXT, 0), max(end - _CONTEXT, 0)
    old, new = former[first : len(former) - last], present[first : len(present) - last]
    if max(len(old), len(new)) <= MOST_COMPARED:
        for line in islice(difflib.unified_diff(old, new, n=_CONTEXT, lineterm=""), 2, None):
            yield _moved(line, first)
        return
    yield f"@@ -{start + 1},{len(former) - start - end} +{start + 1},{len(present) - start - end} @@"
    gone, come = former[start : len(former) - end], present[start : len(present) - end]
    half = MOST_LINES // 2
    for sign, lines in (("-", gone), ("+", come)):
        yield from (f"{sign}{line}" for line in lines[:half])
        if len(lines) > half:
            yield f"@@ {sign}{len(lines) - half} @@"


def _moved(line: str, lines: int) -> str:
    """A hunk's head with the numbers of the whole file."""
    if not lines or not line.startswith("@@"):
        return line
    return re.sub(r"(?<=[-+])\d+", lambda number: str(int(number[0]) + lines), line, count=2)
