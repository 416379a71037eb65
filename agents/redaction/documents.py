"""What is hidden of a whole document: values by their names, texts within values, comments. Pure."""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agents.redaction.lines import line_spans
from agents.redaction.names import Verdict, may_name_secrets
from agents.redaction.pairs import default_spans
from agents.redaction.spans import Span, merged_spans, shape_spans, text_spans, with_spans_hidden
from agents.redaction.tree import Scalar, Tree, read_tree
from agents.redaction.url_secrets import hook_span
from agents.redaction.values import HIDDEN, is_encoded_login, is_reference_with_default, worth_hiding

# Above this the text is shown line by line: a tree of it would cost a page more than it is worth.
LARGEST_TREE = 2 * 1024 * 1024
# Documents in texts in documents: each level reads its text once more.
_MOST_LEVELS = 4

_ANCHOR = re.compile(r"(?:[&!]\S*\s+)+")
_ONE_ANCHOR = re.compile(r"&\S+\s+")
_COMMENT = re.compile(r"(?:^|(?<=\s))#[^\r\n]*", re.MULTILINE)
_COMMENT_SIGN = re.compile(r"#+ ?")
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_ESCAPED = {character: f"\\u{ord(character):04x}" for character in ("\x7f", "\x85", "\u2028", "\u2029", "\ufeff")}


@dataclass(frozen=True, slots=True)
class Document:
    """``spans`` are hidden, in order and without overlaps; ``values`` are the scalars that have one in them."""

    text: str
    spans: list[Span]
    values: list[Scalar]
    tree: Tree


def read_document(text: str, level: int = 0) -> Document:
    """What is hidden of ``text``. Never raises; linear in its length."""
    tree = read_tree(text) if len(text) <= LARGEST_TREE else Tree([], whole=False, structured=False)
    if tree.whole and not tree.structured:
        # Words, a script, lines of name=value: YAML takes them for one text.
        return Document(text, line_spans(text) if level == 0 or "\n" in text else text_spans(text, keys=True), [], tree)
    reader = _Reader(text, tree, level)
    spans = reader.spans()
    if not tree.whole:
        spans = merged_spans([*line_spans(text), *(Span(span.begin, span.end) for span in spans)])
    return Document(text, spans, reader.values, tree)


def quoted(value: str) -> str:
    """``value`` in double quotes, as YAML and JSON read it."""
    written = json.dumps(value, ensure_ascii=False)
    for character, escape in _ESCAPED.items():
        written = written.replace(character, escape)
    return written


class _Reader:
    def __init__(self, text: str, tree: Tree, level: int) -> None:
        self._text = text
        self._scalars = tree.scalars
        self._level = level
        self.values: list[Scalar] = []

    def spans(self) -> list[Span]:
        shapes = shape_spans(self._text)
        found: list[Span] = []
        position = place = 0
        comments: list[tuple[int, int]] = []
        for scalar in self._scalars:
            if scalar.alias is not None or scalar.end <= scalar.begin:
                continue
            comments += self._comments(position, scalar.begin)
            # A key of several lines may hold a shape, and so may the space between values: only its parts in values are hidden.
            while place < len(shapes) and shapes[place].end <= scalar.begin:
                place += 1
            within: list[Span] = []
            ahead = place
            while ahead < len(shapes) and shapes[ahead].begin < scalar.end:
                within.append(self._cut(shapes[ahead], scalar))
                ahead += 1
            hidden = self._scalar(scalar, within)
            if hidden:
                self.values.append(scalar)
                found += hidden
            position = scalar.end
        comments += self._comments(position, len(self._text))
        return merged_spans([*found, *self._comment_spans(comments)])

    def _cut(self, shape: Span, scalar: Scalar) -> Span:
        """The part of ``shape`` within a value; its quotes and the blank lines after it stay."""
        quote = 1 if scalar.style in ("'", '"') else 0
        end = scalar.begin + len(self._text[scalar.begin : scalar.end].rstrip()) - quote
        return Span(max(shape.begin, scalar.begin + quote), min(shape.end, end))

    # Values.

    def _scalar(self, scalar: Scalar, shapes: list[Span]) -> list[Span]:
        value = scalar.value
        if not scalar.is_key and scalar.verdict is not Verdict.NO and worth_hiding(value, scalar.verdict, scalar.name):
            if not is_reference_with_default(value):
                return [self._whole(scalar)]
            source = self._text[scalar.begin : scalar.end]
            shapes = [
                *shapes,
                *(Span(scalar.begin + a, scalar.begin + b) for a, b in default_spans(source, secret=True)),
            ]
        elif not scalar.is_key:
            if len(value) >= 12 and is_encoded_login(value):
                return [self._whole(scalar)]
            if "hook" in scalar.name.lower() and "://" in value and (hook := hook_span(value, 0)) is not None:
                shapes = [*shapes, *self._mapped(scalar, [Span(*hook)])]
            if scalar.style in ("|", ">"):
                shapes = [*shapes, *self._header_comment(scalar)]
            if may_name_secrets(value) or "\n" in value:
                shapes = [*shapes, *self._texts(scalar)]
        hidden = merged_spans(shapes)
        return self._kept_readable(scalar, hidden) if hidden else []

    def _whole(self, scalar: Scalar) -> Span:
        """The value without its anchor, which others refer to, and without the blank lines after it."""
        source = self._text[scalar.begin : scalar.end]
        properties = _ANCHOR.match(source) if source[:1] in ("&", "!") else None
        anchor = _ONE_ANCHOR.search(properties[0]) if properties else None
        return Span(scalar.begin, scalar.begin + len(source.rstrip()), (anchor[0] if anchor else "") + f'"{HIDDEN}"')

    def _texts(self, scalar: Scalar) -> list[Span]:
        """What names within the value say: a document in it, or running text."""
        value = scalar.value
        if self._level < _MOST_LEVELS and ("\n" in value or value.lstrip()[:1] in ("{", "[")):
            return self._mapped(scalar, read_document(value, self._level + 1).spans)
        return self._mapped(scalar, text_spans(value))

    def _header_comment(self, scalar: Scalar) -> list[Span]:
        """What a comment beside the sign of a block scalar says."""
        ended = _LINE_BREAK.search(self._text, scalar.begin, scalar.end)
        header = self._text[scalar.begin : ended.start() if ended else scalar.end]
        sign = header.find("#")
        begin = scalar.begin + sign + 1
        return [] if sign < 0 else [Span(begin + a, begin + b) for a, b, _shown in text_spans(header[sign + 1 :])]

    def _mapped(self, scalar: Scalar, spans: list[Span]) -> list[Span]:
        """Spans of the value as spans of the text; where that is written with escapes, the whole value is written anew."""
        if not spans:
            return []
        source = self._text[scalar.begin : scalar.end]
        if scalar.style in ("|", ">"):
            lines = _block_lines(self._text, scalar)
            if lines is not None:
                return lines.mapped(spans)
        elif source == scalar.value:
            return [Span(scalar.begin + span.begin, scalar.begin + span.end, span.shown) for span in spans]
        elif source[1:-1] == scalar.value and scalar.style:
            return [Span(scalar.begin + 1 + span.begin, scalar.begin + 1 + span.end, span.shown) for span in spans]
        whole = self._whole(scalar)
        written = quoted(with_spans_hidden(scalar.value, spans))
        return [Span(whole.begin, whole.end, whole.shown.replace(f'"{HIDDEN}"', written, 1))]

    def _kept_readable(self, scalar: Scalar, spans: list[Span]) -> list[Span]:
        """A plain value in which a bracket would be read as a list, or where quotes within are not those around it, is quoted."""
        source = self._text[scalar.begin : scalar.end]
        if scalar.style or source[:1] in ("&", "!"):
            return spans
        if not scalar.section.flow and spans[0].begin > scalar.begin and all('"' not in span.shown for span in spans):
            return spans
        written = with_spans_hidden(self._text, spans, scalar.begin, scalar.end)
        if (
            len(spans) == 1
            and spans[0].begin == scalar.begin
            and spans[0].end == scalar.end
            and spans[0].shown[:1] == '"'
        ):
            return spans
        written = written if written.startswith('"') and written.endswith('"') else quoted(written)
        return [Span(scalar.begin, scalar.end, written)]

    # Comments.

    def _comments(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        if self._text.find("#", begin, end) >= 0:
            for found in _COMMENT.finditer(self._text, begin, end):
                yield found.span()

    def _comment_spans(self, comments: Sequence[tuple[int, int]]) -> Iterator[Span]:
        """Comments that follow each other are read together: often they are settings that were put out of use."""
        block: list[tuple[int, int]] = []
        last_end = -1
        for begin, end in comments:
            sign = _COMMENT_SIGN.match(self._text, begin)
            start = sign.end() if sign else begin
            between = self._text[last_end:begin] if last_end >= 0 else "x"
            if block and (between.strip() or len(_LINE_BREAK.findall(between)) != 1):
                yield from self._comment_block(block)
                block = []
            block.append((start, end))
            last_end = end
        if block:
            yield from self._comment_block(block)

    def _comment_block(self, block: list[tuple[int, int]]) -> list[Span]:
        lines = _Lines([begin for begin, _end in block], [self._text[begin:end] for begin, end in block])
        if not may_name_secrets(lines.text) and not lines.text.strip():
            return []
        document = read_document(lines.text, self._level + 1) if self._level < _MOST_LEVELS else None
        spans = document.spans if document and document.tree.whole else text_spans(lines.text)
        return lines.mapped(merged_spans(Span(span.begin, span.end) for span in spans))


class _Lines:
    """Lines of a text that stand somewhere in another: each with where it begins there."""

    def __init__(self, places: list[int], lines: list[str]) -> None:
        self._places = places
        self._lines = lines
        self._starts: list[int] = []
        position = 0
        for line in lines:
            self._starts.append(position)
            position += len(line) + 1
        self.text = "\n".join(lines)

    def mapped(self, spans: Sequence[Span]) -> list[Span]:
        """The same spans there."""
        return [Span(self._there(span.begin), self._there(span.end, is_end=True), span.shown) for span in spans]

    def _there(self, offset: int, *, is_end: bool = False) -> int:
        number = bisect.bisect_right(self._starts, offset) - 1
        if is_end and number and offset == self._starts[number]:
            number -= 1
        return self._places[number] + min(offset - self._starts[number], len(self._lines[number]))


def _block_lines(text: str, scalar: Scalar) -> _Lines | None:
    """The lines of a block scalar; ``None`` where they are folded, so that they are not those of its value."""
    header = _LINE_BREAK.search(text, scalar.begin, scalar.end)
    if header is None:
        return None
    places: list[int] = []
    wanted = scalar.value.split("\n")
    position = header.end()
    for line in wanted:
        ended = _LINE_BREAK.search(text, position, scalar.end)
        end = ended.start() if ended else scalar.end
        written = text[position:end]
        if not written.endswith(line) or written[: len(written) - len(line)].strip(" "):
            return None
        places.append(end - len(line))
        position = ended.end() if ended else scalar.end
    return _Lines(places, wanted)
