"""Whether files are a Collector's configuration at all, and whether they are one as a whole.

A Collector's configuration that stands within another format, or whose ``service`` or ``pipelines`` is misspelt, runs
nothing, however right the rest of it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from configurations.checks.findings import Finding, FindingKind, Place, Severity, shown_value
from configurations.checks.merging import Merged, MergedEntry
from configurations.checks.spelling import meant, with_suggestion
from configurations.checks.tree import MappingNode, Node, ScalarNode
from foundation.messages import Message

COMPONENT_SECTIONS = ("receivers", "processors", "exporters", "connectors", "extensions")
SECTIONS = (*COMPONENT_SECTIONS, "service")
SERVICE_KEYS = ("extensions", "pipelines", "telemetry")

# Where Kubernetes objects and Helm charts keep a Collector's configuration.
_HELM_VALUES = ("config", "alternateConfig")
# A misspelt word is looked for among so many.
_MOST_KEYS = 1_000


@dataclass(frozen=True, slots=True)
class Misread:
    """The findings about documents as a whole, and the files that are none of a Collector's own."""

    findings: list[Finding]
    wrapped: frozenset[str]


def wrapped_files(files: Mapping[str, MappingNode]) -> Misread:
    """Files that hold a Collector's configuration, or a Kubernetes object, pasted whole."""
    findings = [
        Finding(Severity.ERROR, FindingKind.DOCUMENT, message, place.line, place.column, path, file)
        for file, root in files.items()
        for place, path, message in _wrapping(root)
    ]
    return Misread(findings, frozenset(finding.file for finding in findings))


def _wrapping(root: MappingNode) -> Iterator[tuple[Place, str, Message]]:
    kind = root.get("kind")
    if isinstance(kind, ScalarNode) and kind.text == "ConfigMap":
        message = Message(
            "document-is-config-map",
            "This is a Kubernetes ConfigMap; paste the text of one of its entries under data, without the indentation.",
        )
        yield kind.place, "kind", message
    elif isinstance(kind, ScalarNode) and kind.text == "OpenTelemetryCollector":
        message = Message(
            "document-is-custom-resource",
            "This is a custom resource of the OpenTelemetry operator; paste what stands under spec.config, without the "
            "indentation.",
        )
        yield kind.place, "kind", message
    elif isinstance(kind, ScalarNode) and isinstance(root.get("apiVersion"), ScalarNode):
        message = Message(
            "document-is-kubernetes-object",
            "This is a Kubernetes object of the kind {kind}; paste the agent's own configuration.",
            kind=shown_value(kind.text),
        )
        yield kind.place, "kind", message
    elif not _is_collectors(root):
        yield from _values(root)


def _values(root: MappingNode) -> Iterator[tuple[Place, str, Message]]:
    """Values of a Helm chart, or the specification of a custom resource."""
    for key, value in root.named():
        if key.text == "spec" and isinstance(value, MappingNode) and _is_collectors(value.get("config")):
            message = Message(
                "document-is-custom-resource",
                "This is a custom resource of the OpenTelemetry operator; paste what stands under spec.config, without the "
                "indentation.",
            )
            yield key.place, "spec", message
        elif key.text in _HELM_VALUES and _is_collectors(value):
            message = Message(
                "document-is-helm-values",
                "These are values of a Helm chart; paste what stands under {key}, without the indentation.",
                key=key.text,
            )
            yield key.place, key.text, message


def _is_collectors(node: Node | None) -> bool:
    """A mapping with sections of a Collector's."""
    names = {"receivers", "exporters", "service"}
    return isinstance(node, MappingNode) and any(key.text in names for key, _value in node.named())


def is_collectors(whole: Merged) -> bool:
    """Whether the files together are meant for a Collector: they have receivers, exporters, or something like a service."""
    if any(name in whole.entries for name in ("receivers", "exporters", "connectors")):
        return True
    processors = whole.get("processors")
    if processors is not None and isinstance(processors.value, Merged):
        return True
    service = whole.get("service")
    return _is_service(service) if service is not None else misspelt_service(whole) is not None


def _is_service(entry: MergedEntry) -> bool:
    """Something with pipelines, extensions or telemetry in it, or what was meant for pipelines."""
    if not isinstance(entry.value, Merged):
        return False
    names = entry.value.entries
    return any(name in names for name in SERVICE_KEYS) or _misspelt(entry.value, "pipelines", SERVICE_KEYS) is not None


def misspelt_service(whole: Merged) -> MergedEntry | None:
    """The section that was meant for ``service``, where there is none."""
    return None if "service" in whole.entries else _misspelt(whole, "service", SECTIONS)


def _misspelt(within: Merged, wanted: str, known: tuple[str, ...]) -> MergedEntry | None:
    for name, entry in islice(within.entries.items(), _MOST_KEYS):
        if name not in known and meant(name, [wanted]) is not None:
            return entry
    return None


def misspellings(whole: Merged) -> list[Finding]:
    """What keeps the whole from being run: ``service`` or ``pipelines`` under another name, or in the wrong place."""
    service = whole.get("service")
    if service is None:
        return _without_service(whole)
    if not isinstance(service.value, Merged) or "pipelines" in service.value.entries:
        return []
    found = _misspelt(service.value, "pipelines", SERVICE_KEYS)
    if found is not None:
        return [_unread(found, f"service.{shown_value(found.key.text)}", "pipelines")]
    return _displaced(whole)


def _without_service(whole: Merged) -> list[Finding]:
    found = misspelt_service(whole)
    if found is None:
        return _displaced(whole)
    finding = _unread(found, shown_value(found.key.text), "service")
    certain = _is_service(found) or any(name in whole.entries for name in COMPONENT_SECTIONS)
    return [finding if certain else finding.as_warning()]


def _displaced(whole: Merged) -> list[Finding]:
    """``pipelines`` beside the sections instead of below ``service``."""
    pipelines = whole.get("pipelines")
    if pipelines is None or not any(name in whole.entries for name in ("receivers", "exporters")):
        return []
    message = Message(
        "pipelines-outside-service",
        "pipelines stands at the top; it belongs under service, or the Collector runs nothing.",
    )
    return [_finding(pipelines, "pipelines", message)]


def _unread(entry: MergedEntry, path: str, wanted: str) -> Finding:
    problem = Message(
        "document-unknown-key", "The Collector reads nothing under {name}.", name=shown_value(entry.key.text)
    )
    return _finding(entry, path, with_suggestion(problem, entry.key.text, [wanted]))


def _finding(entry: MergedEntry, path: str, message: Message) -> Finding:
    place = entry.key.place
    return Finding(Severity.ERROR, FindingKind.DOCUMENT, message, place.line, place.column, path, entry.file)
