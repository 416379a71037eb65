"""What pipelines are made of: `Name`, a component named somewhere, and `Pipeline`. What is right is judged elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from configurations.checks.component_ids import type_of
from configurations.checks.findings import Place
from configurations.checks.merging import MergedEntry


@dataclass(frozen=True, slots=True)
class Name:
    """A component named somewhere: in its section (then with its ``entry``), or by a pipeline. ``text`` is the id."""

    text: str
    file: str
    place: Place
    path: str
    entry: MergedEntry | None = None


@dataclass(slots=True)
class Pipeline:
    """A pipeline with what it names, as far as that is known."""

    name: str
    receivers: list[Name] = field(default_factory=list)
    processors: list[Name] = field(default_factory=list)
    exporters: list[Name] = field(default_factory=list)

    @property
    def signal(self) -> str:
        """What its name begins with."""
        return type_of(self.name)

    def members(self, role: str) -> list[Name]:
        """What it names in a role."""
        return {"receivers": self.receivers, "processors": self.processors, "exporters": self.exporters}[role]
