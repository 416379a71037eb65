"""Keys that the Collector takes for a path, which hardly anybody means."""

from __future__ import annotations

from collections.abc import Iterator

from configurations.checks.findings import Finding, Severity, path_of, shown_value
from configurations.checks.merging import KEY_DELIMITER
from configurations.checks.references import collector_finding
from configurations.checks.tree import MappingNode, Node
from foundation.messages import Message


def keys_read_as_paths(file: str, node: Node, path: tuple[str | int, ...] = ()) -> Iterator[Finding]:
    """A warning for each key with ``::``."""
    if isinstance(node, MappingNode):
        for key, value in node.named():
            if KEY_DELIMITER in key.text:
                message = Message(
                    "key-is-a-path",
                    "The Collector reads {name} as a path: each {delimiter} opens an object. Write the objects out.",
                    name=shown_value(key.text),
                    delimiter=KEY_DELIMITER,
                )
                yield collector_finding(Severity.WARNING, file, key.place, path_of((*path, key.text)), message)
            if isinstance(value, MappingNode):
                yield from keys_read_as_paths(file, value, (*path, key.text))
