"""What files mean to a Collector: components by kind and pipelines, whatever their layout, and how two of them differ. Pure.

It must not know whose files they are. Values are compared as YAML types them: ``5`` is not ``"5"``; an empty object is the
same as none, and ``60s`` the same as ``1m``. True values are compared; what people see of them is given beside them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeAlias

import yaml

from agents.redaction import HIDDEN
from agents.reports import JsonObject
from agents.shown import files_shown
from configurations.checks.documents import COMPONENT_SECTIONS
from configurations.checks.findings import SyntaxProblem, path_of
from configurations.checks.merging import in_merging_order
from configurations.checks.yaml_text import read_yaml
from foundation.nesting import NestedTooDeep, check_yaml

MOST_CHARACTERS = 256 * 1024
"""Of all files together; larger ones have no meaning here."""

MOST_VALUES = 20_000
"""Of all files together, aliases written out; more have no meaning here."""

MOST_DIFFERENCES = 500
"""Values of one difference that are listed."""

ROLES = ("receivers", "processors", "exporters")
"""What a pipeline is made of; only of processors the order counts."""

Value: TypeAlias = Any
"""What YAML has: an object, a list, a text, a number, true and false, or nothing."""

_LONGEST = 200
_DURATION = re.compile(r"(?:\d{1,12}(?:\.\d{1,9})?(?:ns|us|µs|ms|s|m|h))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


class _Loader(yaml.CSafeLoader):
    """Types plain values as Collectors do, for whom ``yes`` and ``2026-01-01`` are texts."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:bool", r"(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("tag:yaml.org,2002:null", r"(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:int", r"(?:[-+]?(?:0|[1-9][0-9]{0,300})|0x[0-9a-fA-F]{1,300})$", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]{1,5})?|[0-9]+[eE][-+]?[0-9]{1,5})$",
        "-+.0123456789",
    ),
    ("tag:yaml.org,2002:merge", r"<<$", "<"),
):
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), list(_first))


@dataclass(frozen=True, slots=True)
class ValueDifference:
    """One value by its path; as shown, ``None`` where one side has none. Alike on both sides, it differs in what is hidden."""

    path: str
    left: str | None
    right: str | None

    @property
    def is_hidden(self) -> bool:
        """Whether the two look alike because what differs in them is hidden."""
        return self.left == self.right


@dataclass(frozen=True, slots=True)
class ComponentDifference:
    """``kind`` is the section, ``change`` one of ``added``, ``removed``, ``changed``; values of changed ones alone."""

    kind: str
    name: str
    change: str
    values: tuple[ValueDifference, ...] = ()


@dataclass(frozen=True, slots=True)
class PipelineDifference:
    """``change`` may also be ``reordered``: the same processors in another order. Both sides list the members by role."""

    name: str
    change: str
    left: Mapping[str, tuple[str, ...]]
    right: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class MeaningDifference:
    """How the right side differs from the left one. ``settings`` are values outside components and pipelines."""

    components: tuple[ComponentDifference, ...] = ()
    pipelines: tuple[PipelineDifference, ...] = ()
    settings: tuple[ValueDifference, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any difference."""
        return bool(self.components or self.pipelines or self.settings)


def meaning_of(files: Mapping[str, JsonObject]) -> dict[str, Value] | None:
    """All files (``{config key: {"body": text, ...}}``) merged as agents do, ``None`` when they cannot be read as one object.

    Anchors and merge keys are resolved; what nests too deep, stands for more than `MOST_VALUES` or is larger than
    `MOST_CHARACTERS` cannot be read.
    """
    bodies = [files[name].get("body") for name in in_merging_order(files)]
    if sum(len(body) for body in bodies if isinstance(body, str)) > MOST_CHARACTERS:
        return None
    whole: dict[str, Value] = {}
    room = MOST_VALUES
    for body in bodies:
        root = _object_in(body) if isinstance(body, str) else None
        if root is None:
            return None
        room -= _size(root, room)
        if room < 0:
            return None
        former = _extensions(whole)
        _merge(whole, _with_texts_as_keys(root))
        latter = _extensions(whole)
        if isinstance(former, list) and isinstance(latter, list):
            # The one list that files add to (configurations.checks.merging.JOINED).
            whole["service"]["extensions"] = [*former, *(item for item in latter if item not in former)]
    return whole


def _extensions(whole: Mapping[str, Value]) -> Value:
    return _object(whole.get("service")).get("extensions")


def _object_in(text: str) -> dict[Any, Value] | None:
    try:
        if "&" in text and "*" in text:
            # By events, which bounds what aliases stand for before anything is made of them.
            read_yaml(text)
        else:
            check_yaml(text)
        root = yaml.load(text, Loader=_Loader)  # noqa: S506  a safe loader with fewer types
    except (SyntaxProblem, NestedTooDeep, yaml.YAMLError, ValueError, OverflowError, TypeError):
        return None
    return {} if root is None else root if isinstance(root, dict) else None


def _size(value: Value, room: int) -> int:
    """How many values there are, counted until there are more than ``room``."""
    number, waiting = 0, [value]
    while waiting and number <= room:
        item = waiting.pop()
        number += 1
        waiting += item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    return number


def _with_texts_as_keys(value: Value) -> Value:
    if isinstance(value, dict):
        return {_key(key): _with_texts_as_keys(item) for key, item in value.items()}
    return [_with_texts_as_keys(item) for item in value] if isinstance(value, list) else value


def _key(key: object) -> str:
    return str(key).lower() if isinstance(key, bool) else "" if key is None else str(key)


def _merge(into: dict[str, Value], new: dict[str, Value]) -> None:
    for key, value in new.items():
        former = into.get(key)
        if isinstance(value, dict) and isinstance(former, dict):
            _merge(former, value)
        else:
            into[key] = value


def same(left: Value, right: Value) -> bool:
    """Whether two values mean the same."""
    return bool(canonical(left) == canonical(right))


def canonical(value: Value) -> Value:
    """A form that is equal for values of one meaning, and only for those; hashable.

    Members of an object have no order, and one that is nothing stands for an empty object.
    """
    if isinstance(value, dict):
        return ("map", frozenset((key, canonical(item)) for key, item in value.items())) if value else None
    if isinstance(value, list):
        return ("list", tuple(canonical(item) for item in value))
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, str) and (nanoseconds := _nanoseconds(value)) is not None:
        return ("duration", nanoseconds)
    return value


def _nanoseconds(text: str) -> float | None:
    if not _DURATION.fullmatch(text):
        return None
    return round(sum(float(number) * _NANOSECONDS[unit] for number, unit in _DURATION_PART.findall(text)), 3)


def canonical_whole(whole: Mapping[str, Value]) -> Value:
    """`canonical` of a whole configuration, in which also lists without an order have none."""
    service = _object(whole.get("service"))
    rest = {name: value for name, value in service.items() if name not in ("pipelines", "extensions")}
    pipelines = {
        name: (
            tuple(sorted(set(members["receivers"]))),
            members["processors"],
            tuple(sorted(set(members["exporters"]))),
        )
        for name, members in pipelines_of(whole).items()
    }
    others = {name: value for name, value in whole.items() if name != "service" and canonical(value) is not None}
    return (
        canonical(others),
        canonical({name: value for name, value in rest.items() if canonical(value) is not None}),
        frozenset(pipelines.items()),
        frozenset(map(str, _items(service.get("extensions")))),
    )


def pipelines_of(whole: Mapping[str, Value]) -> dict[str, dict[str, tuple[str, ...]]]:
    """The members of each pipeline by role, in the order in which they are written."""
    pipelines = _object(_object(whole.get("service")).get("pipelines"))
    return {
        name: {role: tuple(map(str, _items(_object(value).get(role)))) for role in ROLES}
        for name, value in pipelines.items()
    }


def _object(value: Value) -> dict[str, Value]:
    return value if isinstance(value, dict) else {}


def _items(value: Value) -> list[Value]:
    return value if isinstance(value, list) else []


def compare(left: Mapping[str, JsonObject], right: Mapping[str, JsonObject]) -> MeaningDifference | None:
    """How ``right`` differs from ``left``, both as for `meaning_of` with the true values; ``None`` when one cannot be read."""
    former, latter = meaning_of(left), meaning_of(right)
    if former is None or latter is None:
        return None
    shown = Shown(meaning_of(files_shown(left)), meaning_of(files_shown(right)))
    return MeaningDifference(
        tuple(_components(former, latter, shown)),
        tuple(_pipelines(former, latter)),
        tuple(_settings(former, latter, shown)),
    )


def _components(left: Mapping[str, Value], right: Mapping[str, Value], shown: Shown) -> Iterator[ComponentDifference]:
    for kind in COMPONENT_SECTIONS:
        former, latter = _object(left.get(kind)), _object(right.get(kind))
        for name in sorted({*former, *latter}):
            if name not in latter:
                yield ComponentDifference(kind, name, "removed")
            elif name not in former:
                yield ComponentDifference(kind, name, "added")
            elif not same(former[name], latter[name]):
                values = tuple(_differences(former[name], latter[name], (kind, name), shown))
                yield ComponentDifference(kind, name, "changed", values[:MOST_DIFFERENCES])


def _pipelines(left: Mapping[str, Value], right: Mapping[str, Value]) -> Iterator[PipelineDifference]:
    former, latter = pipelines_of(left), pipelines_of(right)
    nothing: dict[str, tuple[str, ...]] = dict.fromkeys(ROLES, ())
    for name in sorted({*former, *latter}):
        before, after = former.get(name, nothing), latter.get(name, nothing)
        if name not in latter or name not in former:
            yield PipelineDifference(name, "removed" if name in former else "added", before, after)
        elif any(set(before[role]) != set(after[role]) for role in ROLES):
            yield PipelineDifference(name, "changed", before, after)
        elif before["processors"] != after["processors"]:
            yield PipelineDifference(name, "reordered", before, after)


def _settings(left: Mapping[str, Value], right: Mapping[str, Value], shown: Shown) -> Iterator[ValueDifference]:
    yield from _differences(
        _without(left, *COMPONENT_SECTIONS, "service"), _without(right, *COMPONENT_SECTIONS, "service"), (), shown
    )
    former, latter = _object(left.get("service")), _object(right.get("service"))
    extensions = [sorted(map(str, _items(service.get("extensions")))) for service in (former, latter)]
    if extensions[0] != extensions[1]:
        before, after = (", ".join(names)[:_LONGEST] for names in extensions)
        yield ValueDifference("service.extensions", before, after)
    rest = ("pipelines", "extensions")
    yield from _differences(_without(former, *rest), _without(latter, *rest), ("service",), shown)


def _without(value: Mapping[str, Value], *names: str) -> dict[str, Value]:
    return {key: item for key, item in value.items() if key not in names}


def _differences(left: Value, right: Value, steps: tuple[str | int, ...], shown: Shown) -> Iterator[ValueDifference]:
    if same(left, right):
        return
    if (isinstance(left, dict) or left is None) and (isinstance(right, dict) or right is None):
        former, latter = _object(left), _object(right)
        for key in [*former, *(key for key in latter if key not in former)]:
            yield from _differences(former.get(key, MISSING), latter.get(key, MISSING), (*steps, key), shown)
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for place, (item, other) in enumerate(zip(left, right, strict=True)):
            yield from _differences(item, other, (*steps, place), shown)
    elif not (left is MISSING and canonical(right) is None) and not (right is MISSING and canonical(left) is None):
        yield ValueDifference(
            path_of(steps),
            None if left is MISSING else shown.left(steps),
            None if right is MISSING else shown.right(steps),
        )


class _Missing:
    """No value, not even an empty one."""


MISSING = _Missing()


class Shown:
    """What people see of the values of both sides, each given by its steps from the top."""

    def __init__(self, left: dict[str, Value] | None, right: dict[str, Value] | None) -> None:
        self._left, self._right = left, right

    def left(self, steps: tuple[str | int, ...]) -> str:
        """Of the left side."""
        return _seen(self._left, steps)

    def right(self, steps: tuple[str | int, ...]) -> str:
        """Of the right side."""
        return _seen(self._right, steps)


def _seen(whole: Value, steps: tuple[str | int, ...]) -> str:
    """The value as JSON, cut; hidden where redaction left nothing at that place."""
    try:
        value = reduce(lambda inner, step: inner[step], steps, whole)
    except (KeyError, IndexError, TypeError):
        return HIDDEN
    text = value if isinstance(value, str) and "\n" not in value else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
