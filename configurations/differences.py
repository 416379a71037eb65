"""What a desired configuration sets, against what an agent says it runs: value by value, whatever the order and layout. Pure.

Agents merge what they are offered with settings of their own and print it anew, so a diff of the texts says little. The true
values are compared; of those that are secret only that they differ is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from agents.recent import Recent
from agents.redaction import HIDDEN, known
from agents.reports import JsonObject
from agents.shown import MOST_SHOWN, files_shown
from configurations.checks.findings import SyntaxProblem, path_of
from configurations.checks.merging import Merged, MergedEntry, merged_files
from configurations.checks.tree import MappingNode, Node, ScalarNode, SequenceNode
from configurations.checks.yaml_text import read_yaml

MOST_VALUES = 5_000
_LONGEST = 200
_KEPT_BYTES = 4 * 1024 * 1024
# What agents print in place of values that they hide themselves.
_MASK = re.compile(r"\[redacted\]|<(?:redacted|hidden|masked)>|\*{3,}|x{6,}", re.IGNORECASE)
_STEP = re.compile(r"[.\[]")


@dataclass(frozen=True, slots=True)
class Differing:
    """One value that the agent does not run as desired; ``effective`` is ``None`` where it has none."""

    path: str
    desired: str
    effective: str | None

    @property
    def is_hidden(self) -> bool:
        """Whether the two look alike because what differs in them is hidden."""
        return self.desired == self.effective


@dataclass(frozen=True, slots=True)
class Comparison:
    """``same`` counts equal values, ``masked`` those that the agent hides itself; ``extra`` are paths and values that only it has.

    All values are as they are shown. ``readable`` is false when one side is no YAML or JSON, or too large; then nothing
    is compared.
    """

    readable: bool
    same: int = 0
    differing: tuple[Differing, ...] = ()
    extra: tuple[tuple[str, str], ...] = ()
    masked: int = 0


_comparisons: Recent[Comparison] = Recent(
    _KEPT_BYTES, lambda found: 256 + 600 * len(found.differing) + 400 * len(found.extra)
)


def compared_once(
    desired: Mapping[str, JsonObject], effective: Mapping[str, JsonObject], *, hashes: tuple[str, str]
) -> Comparison:
    """`compared`, found once while it is remembered; ``hashes`` name the two sides for good."""
    # What is shown of them changes with the secrets that are known.
    return _comparisons.found(":".join((*hashes, str(known.version()))), lambda: compared(desired, effective))


def compared(desired: Mapping[str, JsonObject], effective: Mapping[str, JsonObject]) -> Comparison:
    """Both given as ``{config key: {"body": text, ...}}``, with the true values."""
    wanted, runs = _values_of(desired), _values_of(effective)
    if wanted is None or runs is None:
        return Comparison(readable=False)
    wanted_shown, runs_shown = _shown_values_of(desired), _shown_values_of(effective)
    masked = {path for path, value in wanted.items() if value != runs.get(path) and _MASK.fullmatch(runs.get(path, ""))}
    differing = tuple(
        Differing(path, wanted_shown.get(path, HIDDEN), runs_shown.get(path, HIDDEN) if path in runs else None)
        for path, value in wanted.items()
        if runs.get(path) != value and path not in masked
    )
    # An empty section that the agent filled in is not a difference: it has the section.
    sections = _sections(runs)
    differing = tuple(
        item for item in differing if not (item.desired == "{}" and item.effective is None and item.path in sections)
    )
    extra = tuple((path, runs_shown.get(path, HIDDEN)) for path in runs if path not in wanted)
    return Comparison(True, len(wanted) - len(differing) - len(masked), differing, extra, len(masked))


def _sections(paths: Iterable[str]) -> set[str]:
    """All that ``paths`` lie in."""
    return {path[: step.start()] for path in paths for step in _STEP.finditer(path)}


def _shown_values_of(files: Mapping[str, JsonObject]) -> dict[str, str]:
    """The same paths with what people see of the values. A path may be missing: then nothing is seen of its value."""
    return _values_of(files_shown(files)) or {}


def _values_of(files: Mapping[str, JsonObject]) -> dict[str, str] | None:
    """All values by path, ``None`` when there are too many or they cannot be read.

    Files are merged as agents do, by name with the nameless last.
    """
    if sum(len(str(file.get("body", ""))) for file in files.values()) > MOST_SHOWN:
        return None
    roots: dict[str, MappingNode] = {}
    for key, file in files.items():
        body = file.get("body")
        if not isinstance(body, str):
            return None
        try:
            root, _findings = read_yaml(body)
        except SyntaxProblem:
            return None
        if isinstance(root, MappingNode):
            roots[key] = root
        elif root is not None:
            return dict(islice(_leaves(root, ()), MOST_VALUES)) if len(files) == 1 else None
    values: dict[str, str] = {}
    for path, value in _merged_leaves(merged_files(roots), ()):
        values[path] = value
        if len(values) > MOST_VALUES:
            return None
    return values


def _merged_leaves(whole: Merged, steps: tuple[str | int, ...]) -> Iterator[tuple[str, str]]:
    if not whole.entries and steps:
        yield path_of(steps), "{}"
    for name, entry in whole.entries.items():
        value, below = entry.value, (*steps, name)
        if isinstance(value, Merged):
            yield from _merged_leaves(value, below)
        elif entry.joined is not None:
            yield from _leaves(_in_one(entry), below)
        else:
            yield from _leaves(value, below)


def _in_one(entry: MergedEntry) -> SequenceNode:
    """The lists that were joined, each name once."""
    lists = [part.value.items for part in entry.parts if isinstance(part.value, SequenceNode)]
    names = {item.text: item for items in reversed(lists) for item in items if isinstance(item, ScalarNode)}
    return SequenceNode(entry.place, tuple(names.values()))


def _leaves(node: Node, steps: tuple[str | int, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(node, ScalarNode):
        yield path_of(steps), "{}" if node.is_null else node.text[:_LONGEST]
    elif isinstance(node, MappingNode):
        if not node.entries:
            yield path_of(steps), "{}"
        for key, value in node.named():
            yield from _leaves(value, (*steps, key.text))
    elif all(isinstance(item, ScalarNode) for item in node.items):
        texts = [item.text for item in node.items if isinstance(item, ScalarNode)]
        yield path_of(steps), f"[{', '.join(texts)}]"[:_LONGEST]
    else:
        for place, item in enumerate(node.items):
            yield from _leaves(item, (*steps, place))
