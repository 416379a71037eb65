"""The values of a YAML or JSON text with their places, and which of them their names make secrets. Pure.

A walk over parse events with a stack of its own: nothing recurses, and nothing is built but a list of the values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from agents.redaction.names import Verdict, is_about, section_verdict, verdict
from agents.redaction.values import is_reference
from foundation.nesting import NestedTooDeep, yaml_events

Path = tuple[str | int, ...]

# The members of a list of names with values, such as headers and environment variables.
_LABELS = frozenset(
    {"name", "key", "header", "headername", "header_name", "field", "variable", "var", "param", "parameter",
    "parameterkey", "parametername", "property",
     "option", "setting", "k", "n", "envvar", "env", "label", "attribute"}
)  # fmt: skip
_VALUES = frozenset(
    {
        "value",
        "values",
        "val",
        "v",
        "default",
        "defaultvalue",
        "default_value",
        "data",
        "content",
        "parametervalue",
        "text",
        "stringvalue",
        "string_value",
        "rawvalue",
    }
)

_LOGIN_FLAGS = frozenset({"-u", "--user", "--proxy-user"})
_NAME = re.compile(r"[a-z_.-]*")


@dataclass(slots=True, eq=False)
class Section:
    """A mapping or list that is read. ``secret``: all values in it are; ``item`` is the verdict over a list's values."""

    parent: Section | None
    step: str | int
    name: str
    mapping: bool
    flow: bool
    secret: bool = False
    item: Verdict = Verdict.NO
    is_key: bool = False
    key: str | None = None
    count: int = 0
    begin: int = 0
    anchor: int | None = None
    label: str = ""
    kind: str = ""
    flag: str = ""
    held: list[tuple[int, int]] = field(default_factory=list)
    sealed: list[tuple[int, int]] = field(default_factory=list)
    items: list[int] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Scalar:
    """A value, or a key; an alias is one without text whose ``alias`` is the number of its anchor."""

    begin: int
    end: int
    value: str
    style: str
    section: Section
    step: str | int
    verdict: Verdict
    is_key: bool = False
    alias: int | None = None

    @property
    def name(self) -> str:
        """What the value is called: its key, or what its list is called."""
        return self.step if isinstance(self.step, str) else self.section.name

    def path(self) -> Path:
        """Document number, then keys and positions."""
        steps: list[str | int] = [self.step]
        section = self.section
        while section.parent is not None:
            steps.append(section.step)
            section = section.parent
        # What stands at the top of a document has no step of its own.
        return (section.step, *reversed(steps[:-1]))


@dataclass(slots=True)
class Tree:
    """``whole`` is false where the text could not be read to its end; ``scalars`` are those before that."""

    scalars: list[Scalar]
    whole: bool
    structured: bool


def read_tree(text: str) -> Tree:
    """All values of all documents, judged by their names. Never raises."""
    return _Reader().read(text)


class _Reader:
    def __init__(self) -> None:
        self.scalars: list[Scalar] = []
        self._anchors: dict[str, int] = {}
        # Which scalars an anchor stands for; the end is -1 while it is open.
        self._ranges: list[tuple[int, int]] = []
        self._structured = False
        self._section: Section | None = None

    def read(self, text: str) -> Tree:
        whole = True
        try:
            self._read(yaml_events(text))
        except (yaml.YAMLError, NestedTooDeep, ValueError):
            whole = False
            # What was begun is judged by what was read of it.
            while self._section is not None:
                self._section = self._closed(self._section)
        self._follow_aliases()
        return Tree(self.scalars, whole, self._structured)

    def _read(self, events: Iterator[yaml.Event]) -> None:
        documents = 0
        for event in events:
            section = self._section
            if isinstance(event, yaml.ScalarEvent | yaml.AliasEvent):
                if section is not None:
                    self._value(event, section)
            elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
                if section is not None:
                    self._section = self._opened(event, section)
            elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                if section is not None:
                    self._section = self._closed(section)
            elif isinstance(event, yaml.DocumentStartEvent):
                self._anchors.clear()
                self._section = Section(None, documents, "", mapping=False, flow=False)
                documents += 1

    def _opened(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent, around: Section) -> Section:
        self._structured = True
        mapping = isinstance(event, yaml.MappingStartEvent)
        section = Section(
            parent=around,
            step=around.key if around.mapping and around.key is not None else around.count,
            name=around.name if not around.mapping or around.key is None else around.key,
            mapping=mapping,
            flow=bool(event.flow_style),
            begin=len(self.scalars),
        )
        if around.mapping and around.key is None:
            section.is_key, section.secret = True, around.secret
        elif around.mapping:
            key = around.key or ""
            section.secret = (around.secret and not is_about(key)) or section_verdict(key, around.name)
            section.item = Verdict.YES if section.secret else verdict(key, around.name) if not mapping else Verdict.NO
        else:
            section.secret, section.item = around.secret, around.item
        if not around.mapping and around.flag and around.flag not in _LOGIN_FLAGS:
            section.secret, section.item = True, Verdict.YES
            around.flag = ""
        if event.anchor is not None:
            section.anchor = self._anchored(event.anchor)
        return section

    def _closed(self, section: Section) -> Section | None:
        if section.label and (named := verdict(section.label)) >= Verdict.LIKELY:
            self._raise(section.held, named)
        if section.kind == "Secret":
            self._raise(section.sealed, Verdict.YES)
        if not section.mapping and len(section.items) == 2 and section.count == 2 and _is_pair(section):
            first, second = (self.scalars[place] for place in section.items)
            if (named := verdict(first.value)) >= Verdict.KEY and not _NAME.fullmatch(second.value):
                second.verdict = max(second.verdict, named)
        if section.anchor is not None:
            self._ranges[section.anchor] = (section.begin, len(self.scalars))
        around = section.parent
        if around is not None:
            self._count(around, section.begin, is_key=section.is_key)
        return around

    def _value(self, event: yaml.ScalarEvent | yaml.AliasEvent, section: Section) -> None:
        is_key = section.mapping and section.key is None
        # A template in braces is read as a mapping that is a key.
        is_template = is_key and section.is_key and section.secret
        place = len(self.scalars)
        value, style, alias = "", "", None
        if isinstance(event, yaml.ScalarEvent):
            value, style = str(event.value), event.style or ""
            if event.anchor is not None:
                self._ranges[self._anchored(event.anchor)] = (place, place + 1)
        else:
            alias = self._anchors.get(str(event.anchor))
        step: str | int = section.count
        judged = Verdict.NO
        if section.mapping and not is_key:
            step = section.key or ""
            judged = verdict(step, section.name)
            if section.secret and not is_about(step):
                judged = Verdict.YES
        elif not section.mapping:
            judged = section.item
            if section.flag:
                judged, section.flag = max(judged, _flag_verdict(section.flag, value)), ""
            elif value.startswith("-") and "=" not in value and " " not in value:
                section.flag = value if value in _LOGIN_FLAGS or verdict(value) >= Verdict.LIKELY else ""
            section.items.append(place)
        if is_template:
            judged, step = Verdict.YES, ""
        begin, end = event.start_mark, event.end_mark
        self.scalars.append(
            Scalar(
                begin.index if begin else 0,
                end.index if end else 0,
                value,
                style,
                section,
                step,
                judged,
                is_key and not is_template,
                alias,
            )
        )
        if is_key:
            section.key = value
        else:
            if section.mapping:
                self._label(section, value)
            self._count(section, place)

    def _label(self, section: Section, value: str) -> None:
        lowered = (section.key or "").lower()
        if (
            lowered in _LABELS
            and value
            and not is_reference(value)
            and (not section.label or verdict(value) >= Verdict.LIKELY)
        ):
            section.label = value
        elif lowered == "kind":
            section.kind = value

    def _count(self, section: Section, begin: int, *, is_key: bool = False) -> None:
        """A value from the scalar ``begin`` on is complete."""
        if not section.mapping:
            section.count += 1
        elif is_key:
            section.key = ""
        else:
            key = section.key or ""
            if key.lower() in _VALUES:
                section.held.append((begin, len(self.scalars)))
            if key in ("data", "stringData", "binaryData"):
                section.sealed.append((begin, len(self.scalars)))
            section.key = None

    def _anchored(self, name: str) -> int:
        number = len(self._ranges)
        self._ranges.append((len(self.scalars), -1))
        self._anchors[name] = number
        return number

    def _raise(self, ranges: list[tuple[int, int]], to: Verdict) -> None:
        for begin, end in ranges:
            for scalar in self.scalars[begin:end]:
                if not scalar.is_key:
                    scalar.verdict = max(scalar.verdict, to)

    def _follow_aliases(self) -> None:
        """What stands under a secret name by its alias is secret where it is written."""
        done: dict[int, Verdict] = {}
        waiting = [scalar for scalar in self.scalars if scalar.alias is not None and scalar.verdict > Verdict.NO]
        while waiting:
            alias = waiting.pop()
            number, to = alias.alias, alias.verdict
            if number is None or done.get(number, Verdict.NO) >= to:
                continue
            done[number] = to
            begin, end = self._ranges[number]
            for scalar in self.scalars[begin : end if end >= 0 else None]:
                if (
                    scalar.is_key
                    or scalar.verdict >= to
                    or (isinstance(scalar.step, str) and end - begin > 1 and is_about(scalar.step))
                ):
                    continue
                scalar.verdict = to
                if scalar.alias is not None:
                    waiting.append(scalar)


def _flag_verdict(flag: str, value: str) -> Verdict:
    """Of ``-u user:password`` the value is secret if it has a password."""
    if flag in _LOGIN_FLAGS:
        return Verdict.YES if ":" in value else Verdict.NO
    return verdict(flag)


def _is_pair(section: Section) -> bool:
    """A list of two in a list: a header's name and its value."""
    around = section.parent
    return around is not None and around.parent is not None and not around.mapping
