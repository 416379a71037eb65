"""YAML text to a tree with places: an event walk over libyaml, in which nothing is constructed.

Events come one by one, so depth, aliases and size are judged before they cost anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from configurations.checks.findings import (
    START,
    Finding,
    FindingKind,
    Place,
    Severity,
    SyntaxProblem,
    path_of,
    place_at,
    repeated_key,
    shown_value,
)
from configurations.checks.syntax_advice import yaml_advice
from configurations.checks.tree import (
    Limits,
    MappingNode,
    Measured,
    Node,
    ScalarNode,
    SequenceNode,
    measured,
    too_deep,
)
from foundation.messages import Message
from foundation.nesting import NestedTooDeep, yaml_events

# YAML 1.2 section 5.1, the complement of c-printable. Checked first, because libyaml tells no line for it.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_TAB_INDENT = re.compile(" *\t")

# YAML 1.1 type repository: what a value without quotes means.
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_MERGE = frozenset({"<<"})


def read_yaml(text: str) -> tuple[Node | None, list[Finding]]:
    """The tree (``None``: no document) and the findings that did not end the reading. Raises `SyntaxProblem`."""
    if found := _UNPRINTABLE.search(text):
        raise SyntaxProblem(
            Message(
                "yaml-control-character",
                "Character {character} cannot stand in YAML; delete it, or write an escape in double quotes.",
                character=f"U+{ord(found[0]):04X}",
            ),
            place_at(text, found.start()),
        )
    try:
        return _Composer(yaml_events(text)).document()
    except NestedTooDeep as error:
        raise too_deep(Place(error.line + 1, error.column + 1)) from None
    except yaml.MarkedYAMLError as error:
        raise _problem_of(error, text) from None
    except yaml.YAMLError as error:
        raise SyntaxProblem(
            Message("invalid-yaml", "Not YAML: {advice}", advice=shown_value(str(error))), START
        ) from None


class _Composer:
    """Builds one document. Depth is bounded by the events; the limits bound what aliases stand for."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self._limits = Limits()
        # An open anchor is None: an alias to it would contain itself.
        self._anchors: dict[str, Measured | None] = {}
        self._findings: list[Finding] = []
        self._path: list[str | int] = []

    def document(self) -> tuple[Node | None, list[Finding]]:
        root: Node | None = None
        started = False
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if started:
                    # Agents read no further, so what is wrong below keeps nobody from reading what is above.
                    self._findings.append(_second_document(_place(event)))
                    break
                started = True
                root = self._node(next(self._events), depth=0).node
        return root, self._findings

    def _node(self, event: yaml.Event, *, depth: int) -> Measured:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth=depth)
        place = _place(event)
        self._limits.admit(place, depth=depth)
        anchor: str | None = event.anchor if isinstance(event, yaml.NodeEvent) else None
        if anchor is not None:
            self._anchors[anchor] = None
        if isinstance(event, yaml.SequenceStartEvent):
            composed = self._sequence(place, depth=depth)
        elif isinstance(event, yaml.MappingStartEvent):
            composed = self._mapping(place, depth=depth)
        else:
            composed = Measured(self._scalar(event, place), 1, 1)
        if anchor is not None:
            self._anchors[anchor] = composed
        return composed

    def _alias(self, event: yaml.AliasEvent, *, depth: int) -> Measured:
        name = str(event.anchor)
        if name not in self._anchors:
            raise SyntaxProblem(
                Message("yaml-unknown-anchor", "No anchor &{name} stands above this alias.", name=shown_value(name)),
                _place(event),
            )
        composed = self._anchors[name]
        if composed is None:
            raise SyntaxProblem(
                Message(
                    "yaml-endless-alias",
                    "The alias *{name} stands inside its own anchor and would never end.",
                    name=shown_value(name),
                ),
                _place(event),
            )
        self._limits.admit(_place(event), depth=depth, height=composed.height, size=composed.size)
        return composed

    def _scalar(self, event: yaml.Event, place: Place) -> ScalarNode:
        bare = isinstance(event, yaml.ScalarEvent) and event.implicit[0]
        return ScalarNode(place=place, text=_text(event), is_null=_is_plain(event, _NULLS), is_bare=bare)

    def _sequence(self, opening: Place, *, depth: int) -> Measured:
        items: list[Measured] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            self._path.append(len(items))
            items.append(self._node(event, depth=depth + 1))
            self._path.pop()
        return measured(SequenceNode(opening, tuple(item.node for item in items)), items)

    def _mapping(self, opening: Place, *, depth: int) -> Measured:
        entries: list[tuple[Node, Node]] = []
        merged: list[tuple[Node, Node]] = []
        children: list[Measured] = []
        # By text alone: agents read every key as text, so 1 and "1" are the same one.
        first_places: dict[str, Place] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth=depth + 1)
            self._path.append(_text(event))
            value = self._node(next(self._events), depth=depth + 1)
            children += (key, value)
            if _is_plain(event, _MERGE):
                self._judge_repeat(first_places, "<<", _place(event))
                if not _can_be_merged(value.node):
                    self._findings.append(_unmergeable(value.node.place, path_of(self._path)))
                merged += _merged_entries(value.node)
            else:
                entries.append((key.node, value.node))
                if isinstance(key.node, ScalarNode):
                    self._judge_repeat(first_places, key.node.text, key.node.place)
                elif isinstance(key.node, MappingNode) and not self._has_found("yaml-key-not-text"):
                    # The second of two braces is the key of the first: once is enough.
                    self._findings.append(_key_without_text(event, path_of(self._path[:-1])))
            self._path.pop()
        inherited = [
            (key, value) for key, value in merged if isinstance(key, ScalarNode) and key.text not in first_places
        ]
        return measured(MappingNode(opening, (*inherited, *entries)), children)

    def _has_found(self, code: str) -> bool:
        return any(item.message.code == code for item in self._findings)

    def _judge_repeat(self, first_places: dict[str, Place], text: str, place: Place) -> None:
        first = first_places.setdefault(text, place)
        if first is not place:
            self._findings.append(repeated_key(self._path, place, first))


def _second_document(place: Place) -> Finding:
    message = Message(
        "yaml-second-document",
        "A second document begins here; agents read only the first. Remove this line, or make two files.",
    )
    return Finding(Severity.WARNING, FindingKind.SYNTAX, message, place.line, place.column)


def _key_without_text(event: yaml.Event, path: str) -> Finding:
    """Mostly a placeholder of a template: two braces open an object that is the key of another."""
    place = _place(event)
    message = Message(
        "yaml-key-not-text",
        "A key is text, and here it is an object. Put {braces} of a template in quotes.",
        braces="{{ … }}",
    )
    return Finding(Severity.ERROR, FindingKind.SYNTAX, message, place.line, place.column, path)


def _can_be_merged(node: Node) -> bool:
    items = node.items if isinstance(node, SequenceNode) else (node,)
    return all(isinstance(item, MappingNode) for item in items)


def _unmergeable(place: Place, path: str) -> Finding:
    message = Message("yaml-merge-without-object", "Behind << stands an object, or a list of some: mostly an alias.")
    return Finding(Severity.ERROR, FindingKind.SYNTAX, message, place.line, place.column, path)


def _merged_entries(node: Node) -> list[tuple[Node, Node]]:
    """What ``<<: *anchor`` or ``<<: [*a, *b]`` brings in; of a key in several the first object counts."""
    if isinstance(node, MappingNode):
        return list(node.entries)
    if isinstance(node, SequenceNode):
        return [entry for item in reversed(node.items) if isinstance(item, MappingNode) for entry in item.entries]
    return []


def _place(event: yaml.Event) -> Place:
    mark = event.start_mark
    return START if mark is None else Place(mark.line + 1, mark.column + 1)


def _place_of(mark: yaml.Mark | None, lines: list[str]) -> Place:
    """The place of a mark; libyaml gives the end of the file a line of its own, editors do not."""
    if mark is None or not lines:
        return START
    if mark.line >= len(lines):
        return Place(len(lines), len(lines[-1]) + 1)
    return Place(mark.line + 1, mark.column + 1)


def _text(event: yaml.Event) -> str:
    return str(event.value) if isinstance(event, yaml.ScalarEvent) else ""


def _is_plain(event: yaml.Event, words: frozenset[str]) -> bool:
    """Whether the event is one of ``words`` without quotes or tag."""
    return isinstance(event, yaml.ScalarEvent) and event.implicit[0] and event.value in words


def _problem_of(error: yaml.MarkedYAMLError, text: str) -> SyntaxProblem:
    problem = error.problem or "not readable"
    lines = text.splitlines()
    mark = error.problem_mark
    # Of something never closed the end of the file says nothing, the beginning everything.
    if error.context_mark is not None and (mark is None or mark.line >= len(lines) or "end of stream" in problem):
        mark = error.context_mark
    place = _place_of(mark, lines)
    if place.line <= len(lines) and _TAB_INDENT.match(lines[place.line - 1]):
        return SyntaxProblem(Message("yaml-tab", "Not YAML: a tab indents this line; use spaces."), place)
    return SyntaxProblem(Message("invalid-yaml", "Not YAML: {advice}", advice=yaml_advice(error)), place)
