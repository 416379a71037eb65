"""Puts hidden values back into a text that was edited as it was shown. Pure.

A placeholder gets what the original has hidden at the same path. In comments, and in texts that are no YAML, it gets it
in a line that is the same as one shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from agents.redaction.documents import Document, quoted, read_document
from agents.redaction.spans import Span, merged_spans, with_spans_hidden
from agents.redaction.tree import Path, Scalar, read_tree
from agents.redaction.values import HIDDEN

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")


@dataclass(frozen=True, slots=True)
class Restored:
    """``text`` with hidden values put back; ``missing`` are placeholders for which there is none: ``(line,)`` outside values."""

    text: str
    missing: tuple[Path, ...]


def hidden_values(text: str) -> dict[Path, str]:
    """Every value of which at least a part is hidden, by its path, as YAML reads it. Comments have no path."""
    return {scalar.path(): scalar.value for scalar in read_document(text).values if not scalar.is_key}


def restored(edited: str, original: str, *, may: Callable[[Path], bool] = lambda path: True) -> Restored:
    """``edited`` with what ``original`` has hidden in place of the placeholders; where ``may`` denies a path, they stay."""
    if HIDDEN not in edited:
        return Restored(edited, ())
    former = read_document(original)
    missing: list[Path] = []
    spans: list[Span] = []
    taken: list[tuple[int, int]] = []
    tree = read_tree(edited)
    if tree.whole and tree.structured:
        known = _known(former)
        for scalar in tree.scalars:
            if HIDDEN in scalar.value and not scalar.is_key:
                taken.append((scalar.begin, scalar.end))
                path = scalar.path()
                put = _put_back(edited, scalar, known.get(path)) if may(path) else None
                if put is None:
                    missing.append(path)
                else:
                    spans.append(put)
    for span, line in _lines(edited, former, taken):
        if span is None:
            missing.append((line,))
        else:
            spans.append(span)
    return Restored(with_spans_hidden(edited, merged_spans(spans)), tuple(missing))


@dataclass(frozen=True, slots=True)
class _Known:
    """A value as it is, as it is shown, and as it is written."""

    value: str
    shown: str
    written: str
    column: int


def _known(former: Document) -> dict[Path, _Known]:
    """The hidden values by path; what is shown of each is read from the shown text, where values stand in the same order."""
    after = [
        scalar for scalar in read_tree(with_spans_hidden(former.text, former.spans)).scalars if scalar.alias is None
    ]
    before = [scalar for scalar in former.tree.scalars if scalar.alias is None]
    if len(before) != len(after):
        return {}
    hidden = {id(scalar) for scalar in former.values}
    return {
        seen.path(): _Known(
            scalar.value,
            seen.value,
            former.text[scalar.begin : scalar.end].rstrip(),
            _indent(former.text, scalar.begin),
        )
        for scalar, seen in zip(before, after, strict=True)
        if id(scalar) in hidden and not scalar.is_key
    }


def _put_back(edited: str, scalar: Scalar, known: _Known | None) -> Span | None:
    if known is None:
        return None
    end = scalar.begin + len(edited[scalar.begin : scalar.end].rstrip())
    if scalar.value.strip() == known.shown.strip():
        same_place = "\n" not in known.written or _indent(edited, scalar.begin) == known.column
        return Span(scalar.begin, end, known.written if same_place else quoted(known.value))
    parts = _parts(known)
    pieces = scalar.value.split(HIDDEN)
    if parts is None or len(parts) != len(pieces) - 1:
        return None
    value = pieces[0] + "".join(part + piece for part, piece in zip(parts, pieces[1:], strict=True))
    return Span(scalar.begin, end, quoted(value))


def _parts(known: _Known) -> list[str] | None:
    """What stands in the value for each placeholder of what is shown."""
    pattern = "(.*?)".join(map(re.escape, known.shown.strip().split(HIDDEN)))
    found = re.fullmatch(pattern, known.value.strip(), re.DOTALL) if known.shown.count(HIDDEN) <= 16 else None
    return list(found.groups()) if found else None


def _indent(text: str, position: int) -> int:
    """How far the line is indented in which ``position`` is."""
    begin = max(text.rfind("\n", 0, position), text.rfind("\r", 0, position)) + 1
    line = text[begin:position]
    return len(line) - len(line.lstrip(" "))


def _lines(edited: str, former: Document, taken: list[tuple[int, int]]) -> Iterator[tuple[Span | None, int]]:
    """For each line with a placeholder outside values what it was, and its number from 1."""
    originals = _shown_lines(former)
    place = 0
    for number, line in enumerate(_LINE.finditer(edited), start=1):
        if HIDDEN not in line[0]:
            continue
        while place < len(taken) and taken[place][1] <= line.start():
            place += 1
        position, covered = line.start(), []
        ahead = place
        while ahead < len(taken) and taken[ahead][0] < line.end():
            covered.append(edited[position : max(position, taken[ahead][0])])
            position = max(position, taken[ahead][1])
            ahead += 1
        rest = "".join(covered) + edited[position : line.end()]
        if HIDDEN not in rest:
            continue
        same = originals.get(line[0].rstrip("\r\n"))
        if not same or covered:
            yield None, number
        else:
            yield Span(line.start(), line.start() + len(line[0].rstrip("\r\n")), same.pop(0)), number


def _shown_lines(former: Document) -> dict[str, list[str]]:
    """The lines that are shown with placeholders in them, each with what is written there, in order."""
    result: dict[str, list[str]] = {}
    text, spans = former.text, former.spans
    place = 0
    position = 0
    while position < len(text):
        end = _line_end(text, position)
        within: list[Span] = []
        while place < len(spans) and spans[place].begin < end + 1 and spans[place].begin >= position:
            within.append(spans[place])
            place += 1
            if within[-1].end > end:
                end = _line_end(text, within[-1].end)
        if within:
            written = text[position:end]
            moved = [Span(span.begin - position, span.end - position, span.shown) for span in within]
            result.setdefault(with_spans_hidden(written, moved), []).append(written)
        position = end + (2 if text.startswith("\r\n", end) else 1)
    return result


def _line_end(text: str, position: int) -> int:
    found = re.compile(r"[\r\n]").search(text, position)
    return found.start() if found else len(text)
