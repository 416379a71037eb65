"""The text of a query as a tree: ``or`` over "and" over ``not``, ``-`` and ``!`` over terms, texts and brackets."""

from __future__ import annotations

import re
from collections.abc import Callable

from agents.labels import label_key_problem, label_value_problem
from agents.queries.errors import InvalidQuery, mistake
from agents.queries.tokens import MAX_LENGTH, SETS, Kind, Token, tokens_of
from agents.queries.tree import Conjunction, Disjunction, FreeText, Negation, Node, Operation, Term, Value
from foundation.messages import Message

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "MAX_TERMS", "parse_query"]

MAX_DEPTH = 20
MAX_TERMS = 100
# No name is longer (`agents.text_search` takes no more either).
LONGEST_TEXT = 255

_BREAK = re.compile(r"[\t\n\r]")
_HAS = "has"
_COMPARED = {
    "<": Operation.LESS,
    "<=": Operation.LESS_OR_EQUAL,
    ">": Operation.GREATER,
    ">=": Operation.GREATER_OR_EQUAL,
}
_WORDS = (Kind.WORD, Kind.QUOTED)
_BEGINS_NODE = (*_WORDS, Kind.OPEN, Kind.NOT)


def parse_query(text: str) -> Conjunction | Disjunction:
    """What ``text`` says; an empty text is `Conjunction` nothing, which is every agent. Raises `InvalidQuery`.

    Recurses once for each bracket and negation, of which there are `MAX_DEPTH` within each other at most.
    """
    return _Reader(tokens_of(text)).read()


class _Reader:
    """Recursive descent over the tokens of one query; the last token is always the end."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._terms = 0
        self._depth = 0

    def read(self) -> Conjunction | Disjunction:
        if self._peek().kind is Kind.END:
            return Conjunction((), 0, 0)
        found = self._any()
        if self._peek().kind is not Kind.END:
            raise self._unexpected()
        if isinstance(found, Conjunction | Disjunction):
            return found
        return Conjunction((found,), found.start, found.end)

    def _any(self) -> Node:
        parts = [self._all()]
        while self._is_word("or"):
            self._take()
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Disjunction(tuple(parts), parts[0].start, parts[-1].end)

    def _all(self) -> Node:
        parts = [self._part()]
        while True:
            if self._peek().kind is Kind.COMMA or self._is_word("and"):
                self._take()
            elif self._peek().kind not in _BEGINS_NODE or self._is_word("or"):
                break
            parts.append(self._part())
        return parts[0] if len(parts) == 1 else Conjunction(tuple(parts), parts[0].start, parts[-1].end)

    def _part(self) -> Node:
        token = self._peek()
        if token.kind is Kind.NOT or self._is_word("not"):
            self._take()
            part = self._deeper(token, self._part)
            return Negation(part, token.start, part.end)
        if token.kind is Kind.OPEN:
            self._take()
            part = self._deeper(token, self._any)
            end = self._take()
            if end.kind is not Kind.CLOSE:
                unclosed = Message(
                    "agent-query-open-bracket", "The bracket that begins here has no end; close it with )."
                )
                raise mistake(token.start, unclosed) if end.kind is Kind.END else self._unexpected(end)
            return _within(part, token.start, end.end)
        if token.kind not in _WORDS or self._is_word("or") or self._is_word("and"):
            raise self._unexpected()
        return self._term()

    def _deeper(self, token: Token, read: Callable[[], Node]) -> Node:
        if self._depth == MAX_DEPTH:
            too_deep = Message(
                "agent-query-too-deep",
                "Brackets and negations stand in each other at most {most} deep.",
                most=MAX_DEPTH,
            )
            raise mistake(token.start, too_deep)
        self._depth += 1
        found = read()
        self._depth -= 1
        return found

    def _term(self) -> Term | FreeText | Negation:
        key = self._take()
        sign = self._peek()
        if sign.kind is Kind.SIGN:
            self._take()
            return self._with_sign(key, sign)
        if sign.kind is Kind.WORD and sign.text.lower() in SETS and self._peek(1).kind is Kind.OPEN:
            self._take()
            values = self._values(key)
            self._check_label(key, values)
            operation = Operation.UNEQUAL if SETS[sign.text.lower()] else Operation.EQUAL
            return self._made(key, operation, values)
        if key.kind is Kind.WORD and key.text.lower() in SETS and sign.kind is Kind.OPEN:
            message = Message(
                "agent-query-list-without-key",
                "A list of values stands behind the key of a label: {one} or {other}.",
                one="env in (prod, dev)",
                other="env notin (prod, dev)",
            )
            raise mistake(key.start, message)
        # As label queries say that there is no such label.
        before = self._tokens[self._next - 2] if self._next > 1 else None
        if before is not None and before.kind is Kind.NOT and before.text == "!":
            self._check_key(key)
            return self._made(key, Operation.HAS, [])
        if len(key.text) > LONGEST_TEXT:
            too_long = Message(
                "search-too-long", "A name has at most {most} characters; search for a part of it.", most=LONGEST_TEXT
            )
            raise mistake(key.start, too_long)
        if not key.text:
            raise mistake(key.start, Message("agent-query-empty-text", "There is no text in these quotes."))
        self._count(key)
        return FreeText(key.text, key.start, key.end)

    def _with_sign(self, key: Token, sign: Token) -> Term:
        if sign.text == ":":
            if key.kind is Kind.WORD and key.text == _HAS:
                label = self._value_token(key, sign)
                self._check_key(label)
                return self._made(label, Operation.HAS, [], first=key)
            values = self._values(key) if self._peek().kind is Kind.OPEN else [self._value(key, sign)]
            return self._made(key, Operation.IS, values)
        if sign.text in _COMPARED:
            return self._made(key, _COMPARED[sign.text], [self._value(key, sign)])
        operation = Operation.UNEQUAL if sign.text == "!=" else Operation.EQUAL
        if self._peek().kind in {Kind.COMMA, Kind.CLOSE, Kind.END}:
            if sign.text == "==":
                message = Message(
                    "query-value-missing",
                    "Expected a value after ==; {empty} asks for the empty value, {exists} for any.",
                    empty=f'{key.text}=""',
                    exists=f"has:{key.text}",
                )
                raise mistake(sign.start, message)
            values = [Value("", prefix=False, start=sign.end)]
        else:
            values = [self._value(key, sign)]
        self._check_label(key, values)
        return self._made(key, operation, values)

    def _values(self, key: Token) -> list[Value]:
        opening = self._take()
        values = [self._value(key, opening)]
        while (token := self._peek()).kind is not Kind.CLOSE:
            if token.kind is Kind.COMMA or self._is_word("or"):
                self._take()
            elif token.kind not in _WORDS:
                message = Message(
                    "query-expected-list-end",
                    "Expected , or ) in the list of values, found {found}.",
                    found=_shown(token),
                )
                raise mistake(token.start, message)
            values.append(self._value(key, token))
        self._take()
        return values

    def _value(self, key: Token, sign: Token) -> Value:
        token = self._value_token(key, sign)
        self._count(token)
        if token.kind is Kind.QUOTED or "*" not in token.text:
            return Value(token.text, prefix=False, start=token.start)
        if token.text.index("*") != len(token.text) - 1:
            message = Message(
                "agent-query-star",
                "A * stands at the end of a value; put values with a * of their own in double quotes.",
            )
            raise mistake(token.start + token.text.index("*"), message)
        return Value(token.text[:-1], prefix=True, start=token.start)

    def _value_token(self, key: Token, sign: Token) -> Token:
        token = self._peek()
        if token.kind not in _WORDS:
            message = Message(
                "agent-query-value-missing",
                "Expected a value after {sign}, found {found}; values with signs or blanks go in double quotes.",
                sign=f"{key.text[:40]}{'' if sign.kind is not Kind.SIGN else sign.text}",
                found=_shown(token),
            )
            raise mistake(token.start, message)
        return self._take()

    def _made(self, key: Token, operation: Operation, values: list[Value], first: Token | None = None) -> Term:
        if not values:
            self._count(key)
        end = self._tokens[self._next - 1].end
        return Term(key.text, operation, tuple(values), (first or key).start, end, quoted=key.kind is Kind.QUOTED)

    def _check_label(self, key: Token, values: list[Value]) -> None:
        self._check_key(key)
        for value in values:
            # Agents report line breaks within values, which no operator writes.
            if problem := label_value_problem(_BREAK.sub(" ", value.text)):
                raise mistake(value.start, problem)

    @staticmethod
    def _check_key(key: Token) -> None:
        if problem := label_key_problem(key.text):
            raise mistake(key.start, problem)

    def _count(self, token: Token) -> None:
        self._terms += 1
        if self._terms > MAX_TERMS:
            too_many = Message("agent-query-too-many-terms", "A query has at most {most} conditions.", most=MAX_TERMS)
            raise mistake(token.start, too_many)

    def _is_word(self, word: str) -> bool:
        token = self._peek()
        return token.kind is Kind.WORD and token.text.lower() == word and self._peek(1).kind is not Kind.SIGN

    def _unexpected(self, token: Token | None = None) -> InvalidQuery:
        token = token or self._peek()
        if token.kind is Kind.CLOSE and not self._depth:
            return mistake(
                token.start, Message("agent-query-close-bracket", "No bracket is open that this one closes.")
            )
        message = Message("agent-query-expected-condition", "Expected a condition, found {found}.", found=_shown(token))
        return mistake(token.start, message)

    def _peek(self, further: int = 0) -> Token:
        return self._tokens[min(self._next + further, len(self._tokens) - 1)]

    def _take(self) -> Token:
        token = self._tokens[self._next]
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token


def _within(part: Node, start: int, end: int) -> Node:
    """What stands in brackets, with their places."""
    if isinstance(part, Conjunction):
        return Conjunction(part.parts, start, end)
    if isinstance(part, Disjunction):
        return Disjunction(part.parts, start, end)
    return Conjunction((part,), start, end)


def _shown(token: Token) -> Message | str:
    return token.text[:40] if token.kind is not Kind.END else Message("end-of-query", "the end of the query")
