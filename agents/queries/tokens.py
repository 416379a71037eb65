"""The pieces of a query's text. Linear in its length, which is bounded before."""

from __future__ import annotations

import enum
import json
import re
from dataclasses import dataclass

from agents.fullwidth_signs import fullwidth_problem, with_plain_signs
from agents.queries.errors import mistake
from foundation.messages import Message

MAX_LENGTH = 2_000

_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_BLANK = re.compile(r"\s*")
_SIGN = re.compile(r"==|!=|>=|<=|[:=<>]")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
# A value may have colons in it: addresses and times have them.
_KEY = re.compile(r'[^\s,=!<>()":]+')
_VALUE = re.compile(r'[^\s,=!<>()"]+')
# Words between the key of a label and its values, and whether they say "none of".
SETS = {"in": False, "notin": True}
_SINGLE = {"(": "OPEN", ")": "CLOSE", ",": "COMMA", "!": "NOT"}


class Kind(enum.Enum):
    """What a piece is."""

    WORD = enum.auto()
    QUOTED = enum.auto()
    SIGN = enum.auto()
    OPEN = enum.auto()
    CLOSE = enum.auto()
    COMMA = enum.auto()
    NOT = enum.auto()
    END = enum.auto()


@dataclass(frozen=True, slots=True)
class Token:
    """``text`` is what a word or a quoted text says, and what a sign is."""

    kind: Kind
    text: str
    start: int
    end: int


def tokens_of(text: str) -> list[Token]:
    """All of them, the last one of the kind `END`. Raises `InvalidQuery`."""
    if len(text) > MAX_LENGTH:
        too_long = Message(
            "agent-query-too-long", "A query has at most {most} characters; shorten it.", most=MAX_LENGTH
        )
        raise mistake(MAX_LENGTH, too_long)
    if found := _UNWRITABLE.search(text):
        raise mistake(found.start(), Message("agent-query-unwritable", "This character is not allowed in a query."))
    tokens: list[Token] = []
    in_list = False
    place = _after_blanks(text, 0)
    while place < len(text):
        in_list = tokens[-1].kind is not Kind.CLOSE if in_list else _begins_list(tokens)
        is_value = in_list or (bool(tokens) and tokens[-1].kind is Kind.SIGN)
        tokens.append(_token(text, place, is_value=is_value))
        place = _after_blanks(text, tokens[-1].end)
    tokens.append(Token(Kind.END, "", len(text), len(text)))
    return tokens


def _begins_list(tokens: list[Token]) -> bool:
    """Whether the last one opens a list of values: ``status:(`` or ``env in (``."""
    if len(tokens) < 3 or tokens[-1].kind is not Kind.OPEN:
        return False
    before = tokens[-2]
    return (before.kind is Kind.SIGN and before.text == ":") or (
        before.kind is Kind.WORD and before.text.lower() in SETS and tokens[-3].kind in {Kind.WORD, Kind.QUOTED}
    )


def _token(text: str, place: int, *, is_value: bool) -> Token:
    sign = text[place]
    if found := _SIGN.match(text, place):
        return Token(Kind.SIGN, found[0], place, found.end())
    if sign in _SINGLE:
        return Token(Kind[_SINGLE[sign]], sign, place, place + 1)
    if sign == '"':
        return _quoted(text, place)
    # Before a condition a minus is "not"; within a value and within a word it is a hyphen.
    if sign == "-" and not is_value and len(text) > place + 1 and not text[place + 1].isspace():
        return Token(Kind.NOT, sign, place, place + 1)
    word = (_VALUE if is_value else _KEY).match(text, place)
    assert word is not None  # noqa: S101  every other character was one of the above
    _check_word(text, place, word[0], is_value=is_value)
    return Token(Kind.WORD, word[0], place, word.end())


def _check_word(text: str, place: int, word: str, *, is_value: bool) -> None:
    """Raises `InvalidQuery` for what was meant as a sign."""
    if found := fullwidth_problem(word):
        inside, problem = found
        raise mistake(
            place + inside, problem, Message("search-suggestion", "Did you mean {guess}?", guess=with_plain_signs(text))
        )
    if word == "-" and not is_value and text[place + 1 :].strip():
        message = Message("agent-query-lone-minus", "A minus stands right in front of what is not so, without a blank.")
        raise mistake(place, message)


def _quoted(text: str, place: int) -> Token:
    found = _QUOTED.match(text, place)
    if found is None:
        raise mistake(place, Message("query-open-quote", 'The quote that begins here has no end; close it with ".'))
    try:
        said = str(json.loads(found[0], strict=False))
    except ValueError:
        said = ""
    if (not said and found[1]) or _UNWRITABLE.search(said):
        message = Message("query-invalid-escape", 'Inside quotes write \\" for a quote and \\\\ for a backslash.')
        raise mistake(place, message)
    return Token(Kind.QUOTED, said, place, found.end())


def _after_blanks(text: str, place: int) -> int:
    found = _BLANK.match(text, place)
    return place if found is None else found.end()
