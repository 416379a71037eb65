"""Label queries: the Kubernetes label-selector text of list filters, ``env=prod,tier!=front,os.type in (linux)``."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from agents.fullwidth_signs import fullwidth_problem
from agents.labels import label_key_problem, label_value_problem
from agents.selectors.parsing import MAX_REQUIREMENTS, MAX_VALUES, values_problem
from agents.selectors.selector import BARE_WORD, InvalidSelector, Operator, Requirement, Selector
from foundation.messages import Message

MAX_QUERY_LENGTH = 65_536

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(
    rf"\s*(?P<text>(?P<sign>==|!=|>=|<=|[=!<>(),])|(?P<quoted>{_QUOTED})|(?P<bare>{BARE_WORD.pattern}))", re.DOTALL
)

_COMPARISONS = {
    "=": Operator.IN,
    "==": Operator.IN,
    "!=": Operator.NOT_IN,
    ">": Operator.GT,
    "<": Operator.LT,
}
_SETS = {"in": Operator.IN, "notin": Operator.NOT_IN}


@dataclass(frozen=True, slots=True)
class _Token:
    """``word`` is the unquoted key or value, ``None`` for a sign; ``text`` stands in the query, ``""`` at its end.

    ``after_blank``: something else ends there, and a blank separates the two.
    """

    text: str
    word: str | None
    position: int
    after_blank: bool = False


def parse_label_query(text: str) -> Selector:
    """A selector from query text, or `InvalidSelector` with the ``position`` of the mistake.

    Clauses, all of which must hold: ``key=value`` (or ``==``), ``key!=value``, ``key in (a,b)``, ``key notin (a,b)``,
    ``key`` (exists), ``!key`` (does not exist), ``key>version``, ``key<version``. A comma separates them, or a blank
    unless the clause before it is a mere key. Words with blanks or signs go in double quotes with JSON escapes.
    ``key=`` asks for the empty value. An empty query is no filter: all agents match.
    """
    if len(text) > MAX_QUERY_LENGTH:
        too_long = Message(
            "query-too-long", "The query has more than {most} characters; shorten it.", most=MAX_QUERY_LENGTH
        )
        raise _mistake(MAX_QUERY_LENGTH, too_long)
    return _QueryReader(_tokens(text)).read()


class _QueryReader:
    """Recursive descent over the tokens of one query; the last token is always the end."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0

    def read(self) -> Selector:
        if self._peek().text == "":
            return Selector(match_all=True)
        requirements = [self._clause()]
        while (token := self._peek()).text:
            if token.text == ",":
                self._take()
            elif not self._begins_clause(token, after=requirements[-1]):
                raise _mistake(
                    token.position,
                    Message("query-expected-comma", "Expected a comma before {found}.", found=_shown(token)),
                )
            if len(requirements) == MAX_REQUIREMENTS:
                too_many = Message(
                    "query-too-many-clauses", "A query has at most {most} clauses.", most=MAX_REQUIREMENTS
                )
                raise _mistake(token.position, too_many)
            requirements.append(self._clause())
        return Selector(requirements=tuple(requirements))

    @staticmethod
    def _begins_clause(token: _Token, *, after: Requirement) -> bool:
        """After a blank alone. After a mere key an operator is missing rather than a comma: ``env prod``."""
        return token.after_blank and (token.word is not None or token.text == "!") and after.operator != Operator.EXISTS

    def _clause(self) -> Requirement:
        if self._peek().text == "!":
            self._take()
            return Requirement(self._key(), Operator.DOES_NOT_EXIST)
        key = self._key()
        token = self._peek()
        if token.text in _COMPARISONS:
            self._take()
            if token.text == "==" and self._peek().text in (",", ""):
                message = Message(
                    "query-value-missing",
                    "Expected a value after ==; {empty} asks for the empty value, {exists} for any.",
                    empty=f'{key}=""',
                    exists=key,
                )
                raise _mistake(token.position, message)
            return self._checked(key, _COMPARISONS[token.text], [self._value()], token)
        if token.text in _SETS:
            self._take()
            return self._checked(key, _SETS[token.text], self._value_set(token.text), token)
        if token.text in (">=", "<="):
            message = Message(
                "query-unknown-operator",
                "{sign} is not an operator; use {other} with a neighbouring version.",
                sign=token.text,
                other=token.text[0],
            )
            raise _mistake(token.position, message)
        return Requirement(key, Operator.EXISTS)

    def _checked(self, key: str, operator: Operator, values: list[str], token: _Token) -> Requirement:
        if problem := values_problem(operator, values):
            raise _mistake(token.position, problem)
        return Requirement(key, operator, tuple(values))

    def _key(self) -> str:
        token = self._take()
        if token.word is None:
            raise _mistake(
                token.position,
                Message("query-expected-key", "Expected a label key, found {found}.", found=_shown(token)),
            )
        if problem := label_key_problem(token.word):
            raise _mistake(token.position, problem)
        return token.word

    def _value(self) -> str:
        if self._peek().text in (",", ""):
            return ""
        return self._word_value()

    def _value_set(self, operator: str) -> list[str]:
        opening = self._take()
        if opening.text != "(":
            message = Message(
                "query-expected-parenthesis",
                "Expected ( after {operator}, as in: os.type {operator} (linux, windows).",
                operator=operator,
            )
            raise _mistake(opening.position, message)
        values = [self._word_value()]
        while (token := self._take()).text == ",":
            if len(values) == MAX_VALUES:
                raise _mistake(
                    token.position,
                    Message("query-too-many-values", "A clause has at most {most} values.", most=MAX_VALUES),
                )
            values.append(self._word_value())
        if token.text != ")":
            message = Message(
                "query-expected-list-end", "Expected , or ) in the list of values, found {found}.", found=_shown(token)
            )
            raise _mistake(token.position, message)
        return values

    def _word_value(self) -> str:
        token = self._take()
        if token.word is None:
            message = Message(
                "query-expected-value",
                "Expected a value, found {found}; put values with signs in double quotes.",
                found=_shown(token),
            )
            raise _mistake(token.position, message)
        if problem := label_value_problem(token.word):
            raise _mistake(token.position, problem)
        return token.word

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token


def _tokens(text: str) -> list[_Token]:
    end = len(text.rstrip())
    tokens: list[_Token] = []
    position = 0
    while position < end:
        found = _TOKEN.match(text, position)
        if found is None:
            start = end - len(text[position:end].lstrip())
            if fullwidth := fullwidth_problem(text[start]):
                raise _mistake(start, fullwidth[1])
            raise _mistake(
                start, Message("query-open-quote", 'The quote that begins here has no end; close it with ".')
            )
        tokens.append(
            _Token(
                text=found["text"],
                word=_token_word(found),
                position=found.start("text"),
                after_blank=found.start("text") > position > 0,
            )
        )
        position = found.end()
    tokens.append(_Token(text="", word=None, position=end))
    return tokens


def _token_word(found: re.Match[str]) -> str | None:
    if found["quoted"] is None:
        return found["bare"]
    try:
        return str(json.loads(found["quoted"]))
    except ValueError:
        message = Message("query-invalid-escape", 'Inside quotes write \\" for a quote and \\\\ for a backslash.')
        raise _mistake(found.start("quoted"), message) from None


def _shown(token: _Token) -> Message | str:
    return token.text[:40] if token.text else Message("end-of-query", "the end of the query")


def _mistake(position: int, message: Message) -> InvalidSelector:
    said = Message("at-character", "At character {place}: {problem}", place=position + 1, problem=message)
    return InvalidSelector([("", said)], position=position)
