"""How deep foreign text may nest before anything that recurses may read it (S-101). Pure.

Parsers that build trees recurse, some of them in C, where too deep a text ends the process instead of raising. So depth
is bounded here first, by readers that keep no stack of their own: libyaml's parse events, and the brackets of JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

# Levels of values in one document, the document's own value counted. Deeper than any configuration, selector or
# attribute, and far below where Python's or libyaml's own recursion ends.
MAX_DEPTH = 64
# libyaml compares each directive of a document with all before it; documents have one or two.
_MOST_DIRECTIVES = 64
_DIRECTIVE = re.compile(r"^%", re.MULTILINE)
# The closing quote is optional, so that a text that never ends is read once, and not from every quote in it.
_JSON_SIGN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)
_OPENING = (yaml.SequenceStartEvent, yaml.MappingStartEvent)
_CLOSING = (yaml.SequenceEndEvent, yaml.MappingEndEvent)
_VALUES = (yaml.ScalarEvent, yaml.AliasEvent, *_OPENING)


class NestedTooDeep(ValueError):
    """The text nests deeper than `MAX_DEPTH`; ``line`` and ``column`` count from 0, as libyaml's marks do."""

    def __init__(self, line: int, column: int) -> None:
        super().__init__(f"nested deeper than {MAX_DEPTH} levels")
        self.line = line
        self.column = column


def yaml_events(text: str) -> Iterator[yaml.Event]:
    """The parse events of ``text``, one by one; nothing recurses and the cost is linear.

    Raises `NestedTooDeep` at the first value below `MAX_DEPTH` levels, `yaml.YAMLError` for what is no YAML, and
    `UnicodeEncodeError` for lone surrogates.
    """
    directives = _DIRECTIVE.finditer(text)
    for _number in range(_MOST_DIRECTIVES):
        if next(directives, None) is None:
            break
    else:
        raise yaml.YAMLError(f"more than {_MOST_DIRECTIVES} directives")
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if depth >= MAX_DEPTH and isinstance(event, _VALUES):
            mark = event.start_mark
            raise NestedTooDeep(mark.line if mark else 0, mark.column if mark else 0)
        if isinstance(event, _OPENING):
            depth += 1
        elif isinstance(event, _CLOSING):
            depth -= 1
        yield event


def check_yaml(text: str) -> None:
    """Nothing, when any YAML loader may read ``text``; else raises as `yaml_events` does."""
    for _event in yaml_events(text):
        pass


def check_json(text: str) -> None:
    """Nothing, when a JSON parser may read ``text``: it may be no JSON. Raises `NestedTooDeep`."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for found in _JSON_SIGN.finditer(text):
        if found[0] in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                line = text.count("\n", 0, found.start())
                raise NestedTooDeep(line, found.start() - text.rfind("\n", 0, found.start()) - 1)
        elif found[0] in "]}":
            depth -= 1
