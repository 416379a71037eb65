"""Which components a configuration defines and which its pipelines name, and whether the two fit. Reading is done elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from configurations.checks.connectors import connector_problems
from configurations.checks.documents import COMPONENT_SECTIONS
from configurations.checks.findings import Finding, FindingKind, Place, Severity, shown_value
from configurations.checks.pipelines import Name, Pipeline
from configurations.checks.spelling import with_suggestion
from foundation.messages import Message

_MOST_SUGGESTIONS = 100

# The section of a component and how one of it is called.
_SINGULAR = {
    "receivers": Message("receiver", "receiver"),
    "processors": Message("processor", "processor"),
    "exporters": Message("exporter", "exporter"),
    "connectors": Message("connector", "connector"),
    "extensions": Message("extension", "extension"),
}


@dataclass(slots=True)
class Picture:
    """All that the files define and refer to. ``open_sections`` are those the agent alone can expand."""

    defined: dict[str, dict[str, Name]] = field(default_factory=lambda: {section: {} for section in COMPONENT_SECTIONS})
    open_sections: set[str] = field(default_factory=set)
    # Role (receivers, processors, exporters of a pipeline; extensions of the service) to what is named there.
    used: dict[str, list[Name]] = field(default_factory=lambda: {role: [] for role in COMPONENT_SECTIONS})
    open_roles: set[str] = field(default_factory=set)
    # Roles of which something is wrong already: what seems unused there is a consequence.
    unclear_roles: set[str] = field(default_factory=set)
    pipelines: list[Pipeline] = field(default_factory=list)
    # Paths of components of which something is said already.
    mistaken: set[str] = field(default_factory=set)


class ReferenceCheck:
    """What a picture shows to be wrong, added to ``findings``."""

    def __init__(self, picture: Picture, findings: list[Finding]) -> None:
        self._picture = picture
        self._findings = findings

    def judge(self) -> None:
        """References, connectors, and what nothing refers to; once all is read."""
        self._judge_references()
        self._judge_connectors()
        self._judge_unused()

    def judge_repeats(self, names: list[Name]) -> None:
        seen: Counter[str] = Counter()
        for name in names:
            seen[name.text] += 1
            if seen[name.text] == 2:
                message = Message(
                    "processor-twice",
                    "The pipeline has the processor {name} twice; remove one.",
                    name=shown_value(name.text),
                )
                self._refuse(name.file, name.place, name.path, message)

    def _judge_references(self) -> None:
        for role, names in self._picture.used.items():
            sections = (role, "connectors") if role in ("receivers", "exporters") else (role,)
            if self._picture.open_sections.intersection(sections):
                continue
            for name in names:
                if not any(name.text in self._picture.defined[section] for section in sections):
                    self._picture.unclear_roles.update(self._roles_meant(name, role))
                    self._refuse(name.file, name.place, name.path, self._undefined(name, role))

    def _roles_meant(self, name: Name, role: str) -> Iterator[str]:
        """The role, and those in which what is named here could stand."""
        yield role
        for section in COMPONENT_SECTIONS:
            if name.text in self._picture.defined[section]:
                yield from ("receivers", "exporters") if section == "connectors" else (section,)

    def _undefined(self, name: Name, role: str) -> Message:
        elsewhere = [section for section in COMPONENT_SECTIONS if name.text in self._picture.defined[section]]
        component = Message("component", "{kind} {name}", kind=_SINGULAR[role], name=shown_value(name.text))
        if elsewhere:
            return Message(
                "component-defined-elsewhere",
                "The {component} is not defined ({name} stands under {elsewhere}); add it under {role}, or remove it here.",
                component=component,
                name=shown_value(name.text),
                elsewhere=elsewhere[0],
                role=role,
            )
        problem = Message(
            "component-undefined",
            "The {component} is not defined; add it under {role}, or remove it here.",
            component=component,
            role=role,
        )
        return self.suggest(problem, name.text, self._known(role))

    def suggest(self, problem: Message, text: str, words: Iterable[str]) -> Message:
        """`with_suggestion` for the first findings: no more are shown."""
        return with_suggestion(problem, text, words) if len(self._findings) < _MOST_SUGGESTIONS else problem

    def _known(self, role: str) -> Iterator[str]:
        """Ids that may stand in this role."""
        for section in (role, "connectors") if role in ("receivers", "exporters") else (role,):
            yield from self._picture.defined[section]

    def _judge_connectors(self) -> None:
        picture = self._picture
        ambiguous = set()
        for text, name in picture.defined["connectors"].items():
            for section in ("receivers", "exporters"):
                if text in picture.defined[section]:
                    message = Message(
                        "component-name-ambiguous",
                        "{name} is defined under {section} as well; give one of the two another name.",
                        name=shown_value(text),
                        section=section,
                    )
                    ambiguous.add(text)
                    self._refuse(name.file, name.place, name.path, message)
        unknown = picture.open_roles | picture.unclear_roles
        for severity, name, message in connector_problems(
            picture.pipelines,
            {text: name for text, name in picture.defined["connectors"].items() if text not in ambiguous},
            feeds_known="exporters" not in unknown,
            takers_known="receivers" not in unknown,
        ):
            self._findings.append(collector_finding(severity, name.file, name.place, name.path, message))

    def _judge_unused(self) -> None:
        for section, role_names in self._roles_by_section():
            if (self._picture.open_roles | self._picture.unclear_roles).intersection(role_names):
                continue
            used = {name.text for role in role_names for name in self._picture.used[role]}
            for text, name in self._picture.defined[section].items():
                if text not in used and name.path not in self._picture.mistaken:
                    self._warn(name.file, name.place, name.path, self._unused(section, text))

    def _unused(self, section: str, text: str) -> Message:
        component = Message("component", "{kind} {name}", kind=_SINGULAR[section], name=shown_value(text))
        if section == "extensions":
            return Message(
                "extension-unused",
                "The {component} is defined but not started: only what service.extensions names is.",
                component=component,
            )
        return Message(
            "component-unused",
            "The {component} is defined but not started: only what a pipeline uses is.",
            component=component,
        )

    def _roles_by_section(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        for section in COMPONENT_SECTIONS:
            yield section, ("receivers", "exporters") if section == "connectors" else (section,)

    def _refuse(self, file: str, place: Place, path: str, message: Message) -> None:
        self._findings.append(collector_finding(Severity.ERROR, file, place, path, message))

    def _warn(self, file: str, place: Place, path: str, message: Message) -> None:
        self._findings.append(collector_finding(Severity.WARNING, file, place, path, message))


def collector_finding(severity: Severity, file: str, place: Place, path: str, message: Message) -> Finding:
    """A broken rule of the Collector at a place of a file."""
    return Finding(severity, FindingKind.COLLECTOR, message, place.line, place.column, path, file)
