"""Where in the files a path leads, for words about them that name no line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from configurations.checks.content_types import is_yaml
from configurations.checks.findings import START, Finding, Severity, SyntaxProblem, path_of
from configurations.checks.json_text import read_json
from configurations.checks.merging import Merged, MergedEntry, merged_files
from configurations.checks.references import collector_finding
from configurations.checks.tree import MappingNode, SequenceNode
from configurations.checks.yaml_text import read_yaml
from foundation.messages import Message


def located(files: Mapping[str, tuple[str, str]], path: Sequence[str], message: Message, *, certain: bool) -> Finding:
    """A finding as deep along ``path`` as the files go; an error when it is ``certain`` and the files have a ``service``."""
    roots = {key: root for key, (body, kind) in files.items() if (root := _root(body, kind)) is not None}
    whole = merged_files(roots)
    severity = Severity.ERROR if certain and "service" in whole.entries else Severity.WARNING
    within, found, steps = whole, None, list[str | int]()
    place, file = START, next(iter(files), "")
    for step in path:
        found = _named(within, step)
        if found is None:
            break
        steps.append(found.key.text)
        place, file = found.key.place, found.file
        if isinstance(found.value, SequenceNode):
            place = found.value.place
        if not isinstance(found.value, Merged):
            break
        within = found.value
    return collector_finding(severity, file, place, path_of(steps), message)


def _named(within: Merged, step: str) -> MergedEntry | None:
    return within.get(step) or next((entry for name, entry in within.entries.items() if name.strip() == step), None)


def _root(body: str, content_type: str) -> MappingNode | None:
    try:
        root, _findings = read_yaml(body) if is_yaml(content_type) else read_json(body)
    except SyntaxProblem:
        return None
    return root if isinstance(root, MappingNode) else None
