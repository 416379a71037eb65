"""Several files as the one document that agents make of them, in which each value remembers its file.

Files are merged in the order of their names, the nameless one last, as the OpAMP supervisor does: objects are merged
key by key, anything else (lists and null too) takes the place of what earlier files said. One list alone is joined instead:
``service.extensions`` has what any file names there (``configMergeFunc`` of the supervisor 0.149).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from configurations.checks.findings import Place
from configurations.checks.tree import MappingNode, ScalarNode, SequenceNode

KEY_DELIMITER = "::"
_MOST_STEPS = 20
JOINED = ("service", "extensions")
"""The list that files add to, instead of replacing what earlier ones said."""


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
    """A key with its value, at the place in ``file`` where it was said last.

    ``joined`` is what an earlier file said of the same list, where both count (`JOINED`).
    """

    file: str
    key: ScalarNode
    value: Value
    place: Place
    joined: MergedEntry | None = None

    @property
    def parts(self) -> Iterator[MergedEntry]:
        """This one, and those it is joined with: all that counts."""
        entry: MergedEntry | None = self
        while entry is not None:
            yield entry
            entry = entry.joined

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
        former = _list_in(whole)
        _merge(whole, file, files[file])
        _join_lists(former, whole, file)
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


def _join_lists(former: MergedEntry | None, whole: Merged, file: str) -> None:
    """Have the list of ``file``, if it said one, go on with what was said before."""
    present = _list_in(whole)
    if former is not None and present is not None and present.file == file and present is not former:
        section, name = JOINED
        service = whole.entries[section].value
        assert isinstance(service, Merged)  # noqa: S101  it was found there
        service.entries[name] = replace(present, joined=former)


def _list_in(whole: Merged) -> MergedEntry | None:
    section, name = JOINED
    service = whole.get(section)
    found = service.value.get(name) if service is not None and isinstance(service.value, Merged) else None
    return found if found is not None and isinstance(found.value, SequenceNode) else None


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
