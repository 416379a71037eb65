"""Which types of components a configuration has, and what an operator has to say against some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from configurations.checks.component_ids import id_problem, type_of
from configurations.checks.documents import COMPONENT_SECTIONS, is_collectors
from configurations.checks.findings import Finding, Place, Severity, shown_value
from configurations.checks.merging import Merged
from configurations.checks.references import collector_finding
from foundation.messages import Message


@dataclass(frozen=True, slots=True)
class ComponentUse:
    """The first component of a type."""

    section: str
    kind: str
    file: str
    place: Place
    path: str


def component_uses(whole: Merged) -> list[ComponentUse]:
    """One for each type that is defined, whether started or not; none of what is not meant for a Collector."""
    if not is_collectors(whole):
        return []
    found: dict[tuple[str, str], ComponentUse] = {}
    for section in COMPONENT_SECTIONS:
        entry = whole.get(section)
        if entry is None or not isinstance(entry.value, Merged):
            continue
        for text, component in entry.value.entries.items():
            kind = type_of(text)
            if id_problem(text) is None:
                use = ComponentUse(section, kind, component.file, component.key.place, f"{section}.{shown_value(text)}")
                found.setdefault((section, kind), use)
    return list(found.values())


def list_problems(uses: Sequence[ComponentUse], allowed: Sequence[str], denied: Sequence[str]) -> list[Finding]:
    """What the lists of an operator forbid. Patterns such as ``file*`` or ``receivers/file*``; none allowed: all are."""
    found = []
    for use in uses:
        if _matches(use, denied):
            message = Message(
                "component-denied",
                "{name} must not be used here: the operator of this portal denies it.",
                name=use.kind,
            )
        elif allowed and not _matches(use, allowed):
            message = Message(
                "component-not-allowed",
                "{name} is not among the components that the operator of this portal allows.",
                name=use.kind,
            )
        else:
            continue
        found.append(collector_finding(Severity.ERROR, use.file, use.place, use.path, message))
    return found


def _matches(use: ComponentUse, patterns: Sequence[str]) -> bool:
    return any(
        fnmatchcase(f"{use.section}/{use.kind}" if "/" in pattern else use.kind, pattern) for pattern in patterns
    )
