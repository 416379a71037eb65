"""What a supervisor or an agent adds to the files that it was given, taken out of what it says it runs. Pure.

Taken out is what belongs to one process alone: the ``opamp`` extension with its place among ``service.extensions``, what
collects the supervisor's metrics (``…/own_metrics``), and of ``service.telemetry.resource`` what names this one agent. All else
stays as it is written, value by value; only comments are lost, and only from files of which something is taken out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml

from configurations.checks.findings import path_of
from foundation.nesting import NestedTooDeep, check_yaml

MOST_TAKEN = 50
"""Paths that are named; what is beyond them is taken out as well."""

_SECTIONS = ("receivers", "processors", "exporters", "connectors", "extensions")
_OWN_METRICS = "own_metrics"


@dataclass(frozen=True, slots=True)
class Given:
    """A text without what was added, and the paths of that: ``extensions.opamp``."""

    text: str
    taken: tuple[str, ...] = ()


def without_additions(text: str, attributes: Mapping[str, str]) -> Given:
    """``text`` as somebody may have written it; ``attributes`` are what the agent says of itself.

    What cannot be read as one object in YAML or JSON stays as it is.
    """
    try:
        check_yaml(text)
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, NestedTooDeep, ValueError):
        return Given(text)
    if not isinstance(root, yaml.MappingNode):
        return Given(text)
    taken = list(_take_out(root, attributes))
    if not taken:
        return Given(text)
    return Given(_written(root, text), tuple(path_of(steps) for steps in taken[:MOST_TAKEN]))


def _take_out(root: yaml.MappingNode, attributes: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    for section in _SECTIONS:
        for name in _names(_object(root, section)):
            if (section == "extensions" and _type_of(name) == "opamp") or _is_own(name):
                _remove(root, section, name)
                yield (section, name)
    service = _object(root, "service")
    if service is not None:
        yield from _take_out_of_service(service)
        yield from _take_out_of_telemetry(service, attributes)


def _take_out_of_service(service: yaml.MappingNode) -> Iterator[tuple[str, ...]]:
    extensions = _value(service, "extensions")
    if isinstance(extensions, yaml.SequenceNode):
        kept = [item for item in extensions.value if _type_of(_text(item)) != "opamp"]
        if len(kept) < len(extensions.value):
            extensions.value = kept
            yield ("service", "extensions", "opamp")
            if not kept:
                _drop(service, "extensions")
    for name in _names(_object(service, "pipelines")):
        if _is_own(name):
            _remove(service, "pipelines", name)
            yield ("service", "pipelines", name)


def _take_out_of_telemetry(service: yaml.MappingNode, attributes: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    telemetry = _object(service, "telemetry")
    if telemetry is None:
        return
    for key in _names(_object(telemetry, "resource")):
        said = _value(_object(telemetry, "resource"), key)
        if said is not None and key in attributes and _text(said) == attributes[key]:
            _remove(telemetry, "resource", key)
            yield ("service", "telemetry", "resource", key)
    if not telemetry.value:
        _drop(service, "telemetry")


def _type_of(name: str) -> str:
    return name.partition("/")[0]


def _is_own(name: str) -> bool:
    return name.partition("/")[2] == _OWN_METRICS


def _text(node: yaml.Node) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _value(parent: yaml.MappingNode | None, key: str) -> yaml.Node | None:
    for name, value in parent.value if parent is not None else ():
        if _text(name) == key:
            found: yaml.Node = value
            return found
    return None


def _object(parent: yaml.MappingNode, key: str) -> yaml.MappingNode | None:
    value = _value(parent, key)
    return value if isinstance(value, yaml.MappingNode) else None


def _names(parent: yaml.MappingNode | None) -> list[str]:
    return [] if parent is None else [_text(name) for name, _value in parent.value]


def _drop(parent: yaml.MappingNode, key: str) -> None:
    parent.value = [(name, value) for name, value in parent.value if _text(name) != key]


def _remove(parent: yaml.MappingNode, section: str, key: str) -> None:
    """``key`` out of a section, and a section that is empty then with it."""
    inner = _object(parent, section)
    if inner is not None:
        _drop(inner, key)
        if not inner.value:
            _drop(parent, section)


def _written(root: yaml.MappingNode, text: str) -> str:
    if text.lstrip().startswith("{") and _is_json(text):
        return _as_json(root, 0) + "\n"
    written: str = yaml.serialize(root, Dumper=yaml.CSafeDumper, width=2**20, allow_unicode=True, encoding=None)
    return written


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _as_json(node: yaml.Node, depth: int) -> str:
    """As it was, indented; numbers as they were written. YAML has bounded the depth."""
    if isinstance(node, yaml.ScalarNode):
        return json.dumps(node.value, ensure_ascii=False) if node.style else str(node.value)
    inner, outer = "  " * (depth + 1), "  " * depth
    if isinstance(node, yaml.SequenceNode):
        items = [_as_json(item, depth + 1) for item in node.value]
        signs = "[]"
    else:
        items = [f"{_as_json(name, depth + 1)}: {_as_json(value, depth + 1)}" for name, value in node.value]
        signs = "{}"
    if not items:
        return signs
    return f"{signs[0]}\n" + ",\n".join(f"{inner}{item}" for item in items) + f"\n{outer}{signs[1]}"
