"""Rules of the OpenTelemetry Collector's own configuration, as far as they can be known without its components.

Judged: sections, pipelines and what refers to what. Never the settings of a component, and nothing that is ``${…}``,
which only the agent can expand. All files of one configuration are one document here, because agents merge them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from accounts.sentence import Sentence
from configurations.checks.findings import Finding, Kind, Place, Severity, shown
from configurations.checks.tree import MappingNode, Node, ScalarNode, SequenceNode, is_empty

_COMPONENT_SECTIONS = ("receivers", "processors", "exporters", "connectors", "extensions")
_SECTIONS = frozenset({*_COMPONENT_SECTIONS, "service"})
_PIPELINE_MEMBERS = ("receivers", "processors", "exporters")
_SIGNALS = ("traces", "metrics", "logs", "profiles")
_SIGNAL_LIST = ", ".join(_SIGNALS)

# The section of a component and how one of it is called.
_SINGULAR = {
    "receivers": Sentence("receiver"),
    "processors": Sentence("processor"),
    "exporters": Sentence("exporter"),
    "connectors": Sentence("connector"),
    "extensions": Sentence("extension"),
}


@dataclass(frozen=True, slots=True)
class _Name:
    """A component named somewhere: in its section, or by a pipeline."""

    text: str
    file: str
    place: Place
    path: str


@dataclass(slots=True)
class _Picture:
    """All that the files define and refer to. ``open_sections`` are those the agent alone can expand."""

    defined: dict[str, dict[str, _Name]] = field(
        default_factory=lambda: {section: {} for section in _COMPONENT_SECTIONS}
    )
    open_sections: set[str] = field(default_factory=set)
    # Role (receivers, processors, exporters of a pipeline; extensions of the service) to what is named there.
    used: dict[str, list[_Name]] = field(default_factory=lambda: {role: [] for role in _COMPONENT_SECTIONS})
    open_roles: set[str] = field(default_factory=set)


def check_collector(files: Mapping[str, MappingNode]) -> dict[str, list[Finding]]:
    """Findings per file; none when no file has ``service`` with ``pipelines``."""
    return _CollectorCheck(files).findings() if any(_pipelines(root) is not None for root in files.values()) else {}


def _pipelines(root: MappingNode) -> Node | None:
    """The value of ``service.pipelines``, if there is one."""
    service = root.get("service")
    return service.get("pipelines") if isinstance(service, MappingNode) else None


class _CollectorCheck:
    def __init__(self, files: Mapping[str, MappingNode]) -> None:
        self._files = files
        self._picture = _Picture()
        self._findings: dict[str, list[Finding]] = {file: [] for file in files}

    def findings(self) -> dict[str, list[Finding]]:
        for file, root in self._files.items():
            self._read_sections(file, root)
            if (pipelines := _pipelines(root)) is not None:
                self._read_pipelines(file, pipelines)
            self._read_extensions(file, root)
        self._judge_references()
        self._judge_connectors()
        self._judge_unused()
        return self._findings

    # Reading: shapes are judged here.

    def _read_sections(self, file: str, root: MappingNode) -> None:
        for key, value in root.named():
            section = key.text
            if section not in _SECTIONS:
                if _pipelines(root) is not None:
                    known = ", ".join((*_COMPONENT_SECTIONS, "service"))
                    self._warn(
                        file,
                        key.place,
                        shown(section),
                        Sentence("The Collector has no section of this name; it has {known}.", known=known),
                    )
            elif section != "service":
                self._read_components(file, section, value)

    def _read_components(self, file: str, section: str, value: Node) -> None:
        if isinstance(value, MappingNode):
            for key, _ in value.named():
                name = _Name(key.text, file, key.place, f"{section}.{shown(key.text)}")
                self._picture.defined[section].setdefault(key.text, name)
        elif _is_expanded_by_agent(value):
            self._picture.open_sections.add(section)
        elif not is_empty(value):
            self._refuse(
                file,
                value.place,
                section,
                Sentence("{name} must be an object: each component's name, then its settings.", name=section),
            )

    def _read_pipelines(self, file: str, pipelines: Node) -> None:
        path = "service.pipelines"
        if _is_expanded_by_agent(pipelines):
            self._picture.open_roles.update(_PIPELINE_MEMBERS)
        elif is_empty(pipelines) or (isinstance(pipelines, MappingNode) and not pipelines.entries):
            self._refuse(
                file,
                pipelines.place,
                path,
                Sentence("The service has no pipeline; the Collector needs at least one."),
            )
        elif not isinstance(pipelines, MappingNode):
            self._refuse(
                file,
                pipelines.place,
                path,
                Sentence("pipelines must be an object: each pipeline's name, then its members."),
            )
        else:
            for key, pipeline in pipelines.named():
                self._read_pipeline(file, key, pipeline, f"{path}.{shown(key.text)}")

    def _read_pipeline(self, file: str, key: ScalarNode, pipeline: Node, path: str) -> None:
        signal, slash, name = key.text.partition("/")
        if signal.strip() not in _SIGNALS or (slash and not name.strip()):
            self._warn(
                file,
                key.place,
                path,
                Sentence("A pipeline is named after its signal: {signals}, or like traces/name.", signals=_SIGNAL_LIST),
            )
        if _is_expanded_by_agent(pipeline):
            self._picture.open_roles.update(_PIPELINE_MEMBERS)
            return
        if not isinstance(pipeline, MappingNode):
            place = key.place if is_empty(pipeline) else pipeline.place
            message = Sentence("A pipeline must be an object with receivers, processors and exporters.")
            self._refuse(file, place, path, message)
            return
        for member, _ in pipeline.named():
            if member.text not in _PIPELINE_MEMBERS:
                message = Sentence(
                    "A pipeline has only receivers, processors and exporters; a connector is listed as one of these."
                )
                self._refuse(file, member.place, f"{path}.{shown(member.text)}", message)
        for role in _PIPELINE_MEMBERS:
            names = self._read_references(file, role, pipeline.get(role), f"{path}.{role}")
            if names == [] and role != "processors":
                message = Sentence(
                    "The pipeline {name} has no {role}; name at least one.", name=shown(key.text), role=role
                )
                self._refuse(file, key.place, path, message)

    def _read_extensions(self, file: str, root: MappingNode) -> None:
        service = root.get("service")
        if isinstance(service, MappingNode):
            self._read_references(file, "extensions", service.get("extensions"), "service.extensions")

    def _read_references(self, file: str, role: str, value: Node | None, path: str) -> list[_Name] | None:
        """What the list names; ``None`` when that cannot be known."""
        if value is None or is_empty(value):
            return []
        if _is_expanded_by_agent(value):
            self._picture.open_roles.add(role)
            return None
        if not isinstance(value, SequenceNode):
            message = Sentence("{role} must be a list of names, such as [otlp].", role=role)
            self._refuse(file, value.place, path, message)
            return None
        names: list[_Name] = []
        known = True
        for place, item in enumerate(value.items):
            if _is_expanded_by_agent(item):
                self._picture.open_roles.add(role)
                known = False
            elif isinstance(item, ScalarNode):
                names.append(_Name(item.text, file, item.place, f"{path}[{place}]"))
            else:
                message = Sentence("Name one of the {role} here, as text.", role=role)
                self._refuse(file, item.place, f"{path}[{place}]", message)
                known = False
        self._picture.used[role] += names
        if role == "processors":
            self._judge_repeats(names)
        return names if names or known else None

    # Judging: what refers to what, over all files.

    def _judge_repeats(self, names: list[_Name]) -> None:
        seen: Counter[str] = Counter()
        for name in names:
            seen[name.text] += 1
            if seen[name.text] == 2:
                message = Sentence("The pipeline has the processor {name} twice; remove one.", name=shown(name.text))
                self._refuse(name.file, name.place, name.path, message)

    def _judge_references(self) -> None:
        for role, names in self._picture.used.items():
            sections = (role, "connectors") if role in ("receivers", "exporters") else (role,)
            if self._picture.open_sections.intersection(sections):
                continue
            for name in names:
                if not any(name.text in self._picture.defined[section] for section in sections):
                    self._refuse(name.file, name.place, name.path, self._undefined(name, role))

    def _undefined(self, name: _Name, role: str) -> Sentence:
        elsewhere = [section for section in _COMPONENT_SECTIONS if name.text in self._picture.defined[section]]
        component = Sentence("{kind} {name}", kind=_SINGULAR[role], name=shown(name.text))
        if elsewhere:
            return Sentence(
                "The {component} is not defined ({name} stands under {elsewhere}); add it under {role}, or remove it here.",
                component=component,
                name=shown(name.text),
                elsewhere=elsewhere[0],
                role=role,
            )
        return Sentence(
            "The {component} is not defined; add it under {role}, or remove it here.", component=component, role=role
        )

    def _judge_connectors(self) -> None:
        exported = {name.text for name in self._picture.used["exporters"]}
        received = {name.text for name in self._picture.used["receivers"]}
        for text, name in self._picture.defined["connectors"].items():
            for section in ("receivers", "exporters"):
                if text in self._picture.defined[section]:
                    message = Sentence(
                        "{name} is defined under {section} as well; give one of the two another name.",
                        name=shown(text),
                        section=section,
                    )
                    self._refuse(name.file, name.place, name.path, message)
            if text in exported and text not in received and "receivers" not in self._picture.open_roles:
                message = Sentence(
                    "The connector {name} is an exporter but nowhere a receiver: what it gets is lost.",
                    name=shown(text),
                )
                self._refuse(name.file, name.place, name.path, message)
            if text in received and text not in exported and "exporters" not in self._picture.open_roles:
                message = Sentence(
                    "The connector {name} is a receiver but nowhere an exporter: nothing reaches it.", name=shown(text)
                )
                self._refuse(name.file, name.place, name.path, message)

    def _judge_unused(self) -> None:
        for section, role_names in self._roles_by_section():
            if self._picture.open_roles.intersection(role_names):
                continue
            used = {name.text for role in role_names for name in self._picture.used[role]}
            for text, name in self._picture.defined[section].items():
                if text not in used:
                    self._warn(name.file, name.place, name.path, self._unused(section, text))

    def _unused(self, section: str, text: str) -> Sentence:
        component = Sentence("{kind} {name}", kind=_SINGULAR[section], name=shown(text))
        if section == "extensions":
            return Sentence(
                "The {component} is defined but not started: only what service.extensions names is.",
                component=component,
            )
        return Sentence(
            "The {component} is defined but not started: only what a pipeline uses is.", component=component
        )

    def _roles_by_section(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        for section in _COMPONENT_SECTIONS:
            yield section, ("receivers", "exporters") if section == "connectors" else (section,)

    def _refuse(self, file: str, place: Place, path: str, message: Sentence) -> None:
        self._findings[file].append(Finding(Severity.ERROR, Kind.COLLECTOR, message, place.line, place.column, path))

    def _warn(self, file: str, place: Place, path: str, message: Sentence) -> None:
        self._findings[file].append(Finding(Severity.WARNING, Kind.COLLECTOR, message, place.line, place.column, path))


def _is_expanded_by_agent(node: Node) -> bool:
    """True for ``${env:NAME}`` and its like, which stand for a value only the agent knows."""
    return isinstance(node, ScalarNode) and "${" in node.text
