"""JSON text to a tree with places. The standard parser judges the grammar; tokens give the tree its places."""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from configurations.checks.findings import START, Finding, Place, SyntaxProblem, place_at, repeated_key
from configurations.checks.syntax_advice import json_advice
from configurations.checks.tree import Limits, MappingNode, Measured, Node, ScalarNode, SequenceNode, measured
from foundation.messages import Message

# The closing quote is optional, so that a text that never ends is read to its end once, and not from every quote in it.
_TOKEN = re.compile(r'(?P<quoted>"(?:[^"\\]|\\.)*"?)|(?P<sign>[\[\]{}])|(?P<literal>[^\s,:\[\]{}"]+)', re.DOTALL)
_NOT_UTF8 = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    index: int


def read_json(text: str) -> tuple[Node | None, list[Finding]]:
    """The tree and the findings that did not end the reading. Raises `SyntaxProblem`."""
    if found := _NOT_UTF8.search(text):
        raise SyntaxProblem(
            Message(
                "json-character-without-utf-8",
                "This character has no UTF-8 form; delete it or write it as a \\u escape.",
            ),
            place_at(text, found.start()),
        )
    _refuse_deep(text)
    try:
        # Numbers stay text: the largest an int can be read from has 4300 digits, and none is wanted here.
        json.loads(text, parse_int=str, parse_float=str)
    except json.JSONDecodeError as error:
        said = Message("invalid-json", "Not JSON: {advice}.", advice=json_advice(error))
        raise SyntaxProblem(said, place_at(text, error.pos)) from None
    return _Composer(text).document()


def _tokens(text: str) -> Iterator[_Token]:
    for found in _TOKEN.finditer(text):
        yield _Token(kind=str(found.lastgroup), text=found[0], index=found.start())


def _refuse_deep(text: str) -> None:
    """Judge depth and size before any recursion. Tokens mean nothing after a mistake, but the parser stops at it."""
    limits = Limits()
    depth = 0
    for token in _tokens(text):
        if token.text in "]}":
            depth -= 1
            continue
        # The place is worked out only for a refusal: it costs a walk over the text.
        try:
            limits.admit(START, depth=max(depth, 0))
        except SyntaxProblem as refused:
            raise SyntaxProblem(refused.finding.message, place_at(text, token.index)) from None
        if token.text in "[{":
            depth += 1


class _Composer:
    """Builds the tree of text known to be JSON, nested no deeper than the limit."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._line_starts = [0, *(found.end() for found in re.finditer("\r\n|\r|\n", text))]
        self._findings: list[Finding] = []
        self._path: list[str | int] = []

    def document(self) -> tuple[Node | None, list[Finding]]:
        return self._node(next(self._tokens)).node, self._findings

    def _node(self, token: _Token) -> Measured:
        if token.text == "[":
            return self._sequence(token)
        if token.text == "{":
            return self._mapping(token)
        place = self._place(token)
        if token.kind == "quoted":
            return measured(ScalarNode(place, text=str(json.loads(token.text))))
        if token.text in ("NaN", "Infinity", "-Infinity"):
            raise SyntaxProblem(
                Message(
                    "json-not-a-number", "Not JSON: {text} is not a JSON number; put it in quotes.", text=token.text
                ),
                place,
            )
        return measured(ScalarNode(place, text=token.text, is_null=token.text == "null", is_bare=True))

    def _sequence(self, opening: _Token) -> Measured:
        items: list[Measured] = []
        while (token := next(self._tokens)).text != "]":
            self._path.append(len(items))
            items.append(self._node(token))
            self._path.pop()
        return measured(SequenceNode(self._place(opening), tuple(item.node for item in items)), items)

    def _mapping(self, opening: _Token) -> Measured:
        entries: list[tuple[ScalarNode, Measured]] = []
        first_places: dict[str, Place] = {}
        while (token := next(self._tokens)).text != "}":
            key = ScalarNode(self._place(token), text=str(json.loads(token.text)))
            self._path.append(key.text)
            first = first_places.setdefault(key.text, key.place)
            if first is not key.place:
                self._findings.append(repeated_key(self._path, key.place, first))
            entries.append((key, self._node(next(self._tokens))))
            self._path.pop()
        children = list(chain.from_iterable((measured(key), value) for key, value in entries))
        return measured(MappingNode(self._place(opening), tuple((key, value.node) for key, value in entries)), children)

    def _place(self, token: _Token) -> Place:
        line = bisect.bisect_right(self._line_starts, token.index)
        return Place(line, token.index - self._line_starts[line - 1] + 1)
