"""Several files as the one document that agents make of them, in which each value remembers its file.

Files are merged in the order of their names, the nameless one last, as the OpAMP supervisor does: objects are merged
key by key, anything else (lists and null too) takes the place of what earlier files said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from configurations.checks.findings import Place
from configurations.checks.tree import MappingNode, ScalarNode, SequenceNode

KEY_DELIMITER = "::"
_MOST_STEPS = 20


@dataclass(frozen=True, slots=True)
class Merged:
    """An object, and what it has by name."""

    entries: dict[str, MergedEntry] = field(default_factory=dict)

    def get(self, name: str) -> MergedEntry | None:
        """What it has under ``name``."""
        return self.entries.get(name)


Value: TypeAlias = ScalarNode | SequenceNode | Merged


@dataclass(frozen=True, slots=True)
class MergedEntry:
    """A key with its value, at the place in ``file`` where it was said last."""

    file: str
    key: ScalarNode
    value: Value
    place: Place

    @property
    def is_null(self) -> bool:
        """A key without a value."""
        return isinstance(self.value, ScalarNode) and self.value.is_null

    @property
    def is_expanded_by_agent(self) -> bool:
        """True for ``${env:NAME}`` and its like, which stand for a value only the agent knows."""
        return isinstance(self.value, ScalarNode) and "${" in self.value.text


def in_merging_order(names: Mapping[str, object]) -> list[str]:
    """Config keys as agents merge their files: what comes later counts."""
    return sorted(names, key=lambda name: (name == "", name))


def merged_files(files: Mapping[str, MappingNode]) -> Merged:
    """All of them in one."""
    whole = Merged()
    for file in in_merging_order(files):
        _merge(whole, file, files[file])
    return whole


def _merge(into: Merged, file: str, node: MappingNode) -> None:
    for written, value in node.named():
        target, key = _opened(into, file, written)
        if not isinstance(value, MappingNode):
            target.entries[key.text] = MergedEntry(file, key, value, value.place)
            continue
        inner = _copied(target, key.text)
        _merge(inner, file, value)
        target.entries[key.text] = MergedEntry(file, key, inner, value.place)


def _opened(into: Merged, file: str, key: ScalarNode) -> tuple[Merged, ScalarNode]:
    """Where the value of ``key`` belongs, and under which name: ``a::b`` is ``b`` within ``a``, as the Collector reads it."""
    if KEY_DELIMITER not in key.text:
        return into, key
    steps = key.text.split(KEY_DELIMITER, _MOST_STEPS)
    for step in steps[:-1]:
        inner = _copied(into, step)
        into.entries[step] = MergedEntry(file, replace(key, text=step), inner, key.place)
        into = inner
    return into, replace(key, text=steps[-1])


def _copied(within: Merged, name: str) -> Merged:
    """What stands there so far, to be added to."""
    former = within.entries.get(name)
    return Merged(dict(former.value.entries)) if former and isinstance(former.value, Merged) else Merged()
