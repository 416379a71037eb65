"""Manifests as text: YAML that says what JSON can say, so that a value means the same to everybody; and back.

It must not know what a configuration is. As in YAML 1.2, ``no`` and dates are texts. Anchors, tags and second documents are
refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from agents.reports import JsonObject
from configurations.checks.findings import SyntaxProblem
from configurations.checks.yaml_text import read_yaml
from foundation.errors import DomainError
from foundation.messages import Message
from foundation.nesting import yaml_events

# Line breaks to YAML 1.1 that readers turn into others, and a mark that they drop.
_FOLDED = re.compile("[\r\x85\u2028\u2029\ufeff]")
# Texts are not folded: a line of a difference is a line of the text.
_ONE_LINE = 10**9
_WORDS: dict[str, Any] = {"": None, "null": None, "~": None, "true": True, "false": False}
# A part of what YAML 1.1 takes for numbers, so that what a dumper leaves without quotes is the text it was.
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,18})")
_FRACTION = re.compile(r"[-+]?[0-9]{1,19}\.[0-9]{0,19}(?:[eE][-+][0-9]{1,3})?")


class BrokenManifest(DomainError):
    """The text is no such YAML."""


def read_manifest(text: str, path: str) -> dict[str, Any]:
    """The map that stands in ``text``. Raises `BrokenManifest`, which names ``path`` and the line."""
    try:
        _tree, found = read_yaml(text)
    except SyntaxProblem as error:
        raise _broken(path, error.finding.line, error.finding.message) from error
    if found:
        raise _broken(path, found[0].line, found[0].message)
    events = (event for event in yaml_events(text) if not isinstance(event, yaml.StreamStartEvent))
    first = next(events)
    if isinstance(first, yaml.StreamEndEvent):
        raise _broken(path, 1, Message("manifest-empty", "nothing stands in it"))
    start = next(events)
    value = _value(start, events, path)
    if not isinstance(value, dict):
        raise _broken(path, _line(start), Message("manifest-no-map", "a manifest is a map, such as name: web"))
    return value


def _broken(path: str, line: int, problem: Message) -> BrokenManifest:
    return BrokenManifest(
        Message("manifest-broken", "{path}, line {line}: {problem}", path=path, line=line, problem=problem)
    )


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _value(event: yaml.Event, events: Iterator[yaml.Event], path: str) -> Any:
    """Of bounded depth: `yaml_events` raises below 64 levels, and `read_yaml` has read it before."""
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or getattr(event, "tag", None):
        said = Message("manifest-anchor", "anchors, aliases and tags are not used here; write the value out")
        raise _broken(path, _line(event), said)
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(item := next(events), yaml.SequenceEndEvent):
            items.append(_value(item, events, path))
        return items
    members: dict[str, Any] = {}
    while not isinstance(key := next(events), yaml.MappingEndEvent):
        name = _value(key, events, path)
        if not isinstance(name, str):
            said = Message("manifest-key", "a key is a text; put it in quotes")
            raise _broken(path, _line(key), said)
        if name in members:
            said = Message("manifest-key-twice", "the key {key} is given twice", key=repr(name[:100]))
            raise _broken(path, _line(key), said)
        members[name] = _value(next(events), events, path)
    return members


def _scalar(event: yaml.ScalarEvent) -> Any:
    text = event.value
    if event.style:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FRACTION.fullmatch(text) else text


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks; no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Each value is written out."""
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    if _FOLDED.search(text):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def manifest_text(data: JsonObject) -> str:
    """The inverse of `read_manifest`."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_ONE_LINE)
