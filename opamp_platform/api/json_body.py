"""Reads request bodies: JSON as RFC 8259 has it, of bounded size and depth, saying each thing once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework.exceptions import APIException, ParseError, ValidationError
from rest_framework.parsers import JSONParser

from foundation.languages import in_readers_language
from foundation.messages import Message
from foundation.nesting import MAX_DEPTH, NestedTooDeep, check_json

_SURROGATE = re.compile("[\ud800-\udfff]")


class TooLarge(APIException):
    """The request body is above the limit."""

    status_code = 413
    default_detail = gettext_lazy("The request body is too large.")
    default_code = "body-too-large"


class BoundedJSONParser(JSONParser):
    """JSON of at most `DATA_UPLOAD_MAX_MEMORY_SIZE` bytes and `MAX_DEPTH` levels.

    A name given twice is refused: readers disagree on which one counts. So are lone surrogates, which have no UTF-8
    form and can neither be stored nor answered.
    """

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """Raises `ParseError` or `ValidationError` (400) for what is no such JSON, `TooLarge` (413)."""
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body: bytes = stream.read(limit + 1)
        if len(body) > limit:
            raise TooLarge(_("The request body has more than %(limit)d bytes.") % {"limit": limit})
        try:
            text = body.decode()
            check_json(text)
            data = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
        except NestedTooDeep:
            raise _too_deep() from None
        except json.JSONDecodeError as error:
            raise _not_json(_problem_of(error)) from error
        except ValueError as error:
            raise _not_json(error) from error
        if b"\\u" in body:
            _inspect(data)
        return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        name = next(name for name, _value in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(
            Message("body-name-twice", "the name {name} is given twice in one object", name=repr(_shown(name)))
        )
    return members


def _no_number(text: str) -> NoReturn:
    raise ValueError(Message("body-number", "{text} is no JSON number", text=text))


def _not_json(problem: Message | Exception) -> ParseError:
    said = _("The body is not JSON: %(problem)s") % {"problem": in_readers_language(problem)}
    return ParseError(said, code="invalid-json")


def _problem_of(error: json.JSONDecodeError) -> Message:
    return Message(
        "body-syntax",
        "{problem}: line {line} column {column} (char {place})",
        problem=error.msg.rstrip(": "),
        line=error.lineno,
        column=error.colno,
        place=error.pos,
    )


def _too_deep() -> ParseError:
    said = _("The JSON is nested deeper than %(most)d levels.") % {"most": MAX_DEPTH}
    return ParseError(said, code="nested-too-deep")


def _inspect(data: Any) -> None:
    """Refuse texts that cannot be encoded; the error names the top-level member."""
    waiting: list[tuple[Any, str]] = [(data, "")]
    while waiting:
        value, member = waiting.pop()
        if isinstance(value, str):
            if _SURROGATE.search(value):
                raise ValidationError({_shown(member): [_("The text has a lone surrogate; send whole characters.")]})
        elif isinstance(value, dict | list):
            waiting.extend((part, member or name) for name, part in _parts(value))


def _parts(value: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        yield from (("", part) for part in value)
    else:
        for name, part in value.items():
            yield name, name
            yield name, part


def _shown(name: str) -> str:
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", name[:100])
