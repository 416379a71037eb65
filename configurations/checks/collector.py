"""Rules of the OpenTelemetry Collector's own configuration, as far as they can be known without its components.

Judged: sections, pipelines and what refers to what, in the one document that agents make of all files. Nothing that is
``${…}``, which only the agent can expand. Where no file has a ``service`` the files are a part of a configuration whose rest
the agent may have, so all is said as a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from configurations.checks.components import (
    component_id,
    environment_problems,
    id_problem,
    settings_problems,
    telemetry_problems,
    type_of,
)
from configurations.checks.documents import (
    COMPONENT_SECTIONS,
    SECTIONS,
    SERVICE_KEYS,
    is_collectors,
    misspellings,
    misspelt_service,
    wrapped_files,
)
from configurations.checks.findings import Finding, Place, Severity, shown_value
from configurations.checks.merging import Merged, MergedEntry, merged_files
from configurations.checks.references import Name, Picture, ReferenceCheck, collector_finding
from configurations.checks.tree import MappingNode, Node, ScalarNode, SequenceNode
from foundation.messages import Message

_PIPELINE_MEMBERS = ("receivers", "processors", "exporters")
_SIGNALS = ("traces", "metrics", "logs", "profiles")
_SIGNAL_LIST = ", ".join(_SIGNALS)
_SECTION_LIST = ", ".join(SECTIONS)


def check_collector(files: Mapping[str, MappingNode], *, whole: bool = True) -> list[Finding]:
    """Findings that name their file; none when the files are not meant for a Collector.

    Unless these are ``whole``, nothing is said of what they have or lack together.
    """
    misread = wrapped_files(files)
    if not whole:
        return misread.findings
    document = merged_files({file: root for file, root in files.items() if file not in misread.wrapped})
    if not is_collectors(document):
        return misread.findings
    misspelt = misspellings(document)
    found = _CollectorCheck(document, misspelt).findings()
    if "service" not in document.entries:
        found = [finding.as_warning() for finding in found]
    return [*misread.findings, *misspelt, *found]


class _CollectorCheck:
    def __init__(self, whole: Merged, misspelt: list[Finding]) -> None:
        self._whole = whole
        self._misspelt = misspelt
        self._picture = Picture()
        self._findings: list[Finding] = []
        self._references = ReferenceCheck(self._picture, self._findings)

    def findings(self) -> list[Finding]:
        self._read_sections()
        self._judge_environment("", self._whole)
        if self._read_service():
            self._references.judge()
        self._judge_settings()
        return self._findings

    # Reading: shapes are judged here.

    def _read_sections(self) -> None:
        misspelt = misspelt_service(self._whole)
        for section, entry in self._whole.entries.items():
            if section in COMPONENT_SECTIONS:
                self._read_components(section, entry)
            elif section != "service" and entry is not misspelt and "service" in self._whole.entries:
                problem = Message(
                    "unknown-section", "The Collector has no section of this name; it has {known}.", known=_SECTION_LIST
                )
                self._warn(
                    entry.file,
                    entry.key.place,
                    shown_value(section),
                    self._references.suggest(problem, section, SECTIONS),
                )

    def _read_components(self, section: str, entry: MergedEntry) -> None:
        if isinstance(entry.value, Merged):
            for text, component in entry.value.entries.items():
                self._read_component(section, text, component)
        elif entry.is_expanded_by_agent:
            self._picture.open_sections.add(section)
        elif not entry.is_null:
            message = Message(
                "section-not-an-object",
                "{name} must be an object: each component's name, then its settings.",
                name=section,
            )
            self._refuse(entry.file, entry.place, section, message)

    def _read_component(self, section: str, text: str, component: MergedEntry) -> None:
        path = f"{section}.{shown_value(text)}"
        if "${" in text:
            self._picture.open_sections.add(section)
        elif (problem := id_problem(text)) is not None:
            self._refuse(component.file, component.key.place, path, problem)
        name = Name(component_id(text), component.file, component.key.place, path, component)
        self._picture.defined[section][name.text] = name
        if not (isinstance(component.value, Merged) or component.is_null or component.is_expanded_by_agent):
            message = Message(
                "settings-not-an-object",
                "The settings of {name} must be an object, or nothing.",
                name=shown_value(text),
            )
            self._refuse(component.file, component.place, path, message)

    def _read_service(self) -> bool:
        """Whether there are pipelines, so that what refers to what can be judged."""
        service = self._whole.get("service")
        if service is None:
            self._say_nothing_runs()
            return False
        if service.is_expanded_by_agent:
            return False
        if not isinstance(service.value, Merged):
            if not service.is_null:
                message = Message("service-not-an-object", "service must be an object with pipelines in it.")
                self._refuse(service.file, service.place, "service", message)
                return False
            self._no_pipeline(service, "service")
            return False
        self._read_service_keys(service.value)
        extensions = service.value.get("extensions")
        self._read_references("extensions", extensions, "service.extensions")
        pipelines = service.value.get("pipelines")
        if pipelines is None:
            if not self._misspelt:
                self._no_pipeline(service, "service")
            return False
        return self._read_pipelines(pipelines)

    def _read_service_keys(self, service: Merged) -> None:
        reported = {finding.path for finding in self._misspelt}
        for name, entry in service.entries.items():
            path = f"service.{shown_value(name)}"
            if name not in SERVICE_KEYS and path not in reported:
                known = ", ".join(SERVICE_KEYS)
                problem = Message(
                    "service-unknown-key", "service has nothing of this name; it has {known}.", known=known
                )
                self._warn(entry.file, entry.key.place, path, self._references.suggest(problem, name, SERVICE_KEYS))
        telemetry = service.get("telemetry")
        if telemetry is not None and isinstance(telemetry.value, Merged):
            for path, part, message in telemetry_problems(telemetry.value):
                where = part or telemetry
                self._warn(where.file, where.key.place, f"service.telemetry.{path}", message)

    def _say_nothing_runs(self) -> None:
        """Once, at the first section; a misspelt service is told by its own finding."""
        sections = [entry for name, entry in self._whole.entries.items() if name in COMPONENT_SECTIONS]
        if self._misspelt or not sections:
            return
        message = Message(
            "service-missing", "Nothing of this would run: there is no service with pipelines that use it."
        )
        self._warn(sections[0].file, sections[0].key.place, shown_value(sections[0].key.text), message)

    def _no_pipeline(self, where: MergedEntry, path: str) -> None:
        message = Message("pipeline-missing", "The service has no pipeline; the Collector needs at least one.")
        self._refuse(where.file, where.place if path.endswith("pipelines") else where.key.place, path, message)

    def _read_pipelines(self, pipelines: MergedEntry) -> bool:
        path = "service.pipelines"
        if pipelines.is_expanded_by_agent:
            self._picture.open_roles.update(_PIPELINE_MEMBERS)
        elif pipelines.is_null or (isinstance(pipelines.value, Merged) and not pipelines.value.entries):
            self._no_pipeline(pipelines, path)
            return False
        elif not isinstance(pipelines.value, Merged):
            message = Message(
                "pipelines-not-an-object", "pipelines must be an object: each pipeline's name, then its members."
            )
            self._refuse(pipelines.file, pipelines.place, path, message)
        else:
            for name, pipeline in pipelines.value.entries.items():
                self._read_pipeline(name, pipeline, f"{path}.{shown_value(name)}")
        return True

    def _read_pipeline(self, text: str, pipeline: MergedEntry, path: str) -> None:
        _signal, slash, name = text.partition("/")
        if type_of(text) not in _SIGNALS or (slash and not name.strip()):
            problem = Message(
                "pipeline-name",
                "A pipeline is named after its signal: {signals}, or like traces/name.",
                signals=_SIGNAL_LIST,
            )
            said = self._references.suggest(problem, type_of(text), _SIGNALS)
            self._warn(pipeline.file, pipeline.key.place, path, said)
        elif (wrong := id_problem(text)) is not None:
            self._refuse(pipeline.file, pipeline.key.place, path, wrong)
        if pipeline.is_expanded_by_agent:
            self._picture.open_roles.update(_PIPELINE_MEMBERS)
            return
        if not isinstance(pipeline.value, Merged):
            place = pipeline.key.place if pipeline.is_null else pipeline.place
            message = Message(
                "pipeline-not-an-object", "A pipeline must be an object with receivers, processors and exporters."
            )
            self._refuse(pipeline.file, place, path, message)
            return
        for member, entry in pipeline.value.entries.items():
            if member not in _PIPELINE_MEMBERS:
                problem = Message(
                    "pipeline-unknown-key",
                    "A pipeline has only receivers, processors and exporters; a connector is listed as one of these.",
                )
                message = self._references.suggest(problem, member, _PIPELINE_MEMBERS)
                self._refuse(entry.file, entry.key.place, f"{path}.{shown_value(member)}", message)
        for role in _PIPELINE_MEMBERS:
            names = self._read_references(role, pipeline.value.get(role), f"{path}.{role}")
            if names == [] and role != "processors":
                message = Message(
                    "pipeline-without-members",
                    "The pipeline {name} has no {role}; name at least one.",
                    name=shown_value(text),
                    role=role,
                )
                self._refuse(pipeline.file, pipeline.key.place, path, message)

    def _read_references(self, role: str, entry: MergedEntry | None, path: str) -> list[Name] | None:
        """What the list names; ``None`` when that cannot be known."""
        if entry is None or entry.is_null:
            return []
        if entry.is_expanded_by_agent:
            self._picture.open_roles.add(role)
            return None
        if not isinstance(entry.value, SequenceNode):
            message = Message(
                "pipeline-members-not-a-list", "{role} must be a list of names, such as [otlp].", role=role
            )
            self._refuse(entry.file, entry.place, path, message)
            return None
        names: list[Name] = []
        known = True
        for place, item in enumerate(entry.value.items):
            if isinstance(item, ScalarNode) and "${" in item.text:
                self._picture.open_roles.add(role)
                known = False
            elif isinstance(item, ScalarNode):
                names.append(Name(component_id(item.text), entry.file, item.place, f"{path}[{place}]"))
            else:
                message = Message("pipeline-member-not-text", "Name one of the {role} here, as text.", role=role)
                self._refuse(entry.file, item.place, f"{path}[{place}]", message)
                known = False
        self._picture.used[role] += names
        if role == "processors":
            self._references.judge_repeats(names)
        return names if names or known else None

    # Judging: what stands within components, as far as it is known.

    def _judge_settings(self) -> None:
        """Of components that a pipeline uses, or might: the others are told to be unused."""
        judged = "service" not in self._whole.entries
        for section, defined in self._picture.defined.items():
            used = {name.text for name in self._picture.used[section]}
            for text, name in defined.items():
                if name.entry is None or not (judged or text in used):
                    continue
                for path, entry, message in settings_problems(section, text, name.entry):
                    where = name.entry if entry is None else entry
                    place = where.key.place if entry is None else where.place
                    self._warn(where.file, place, f"{name.path}.{path}" if path else name.path, message)

    def _judge_environment(self, path: str, within: Merged) -> None:
        for key, entry in within.entries.items():
            below = f"{path}.{shown_value(key)}".removeprefix(".")
            if isinstance(entry.value, Merged):
                self._judge_environment(below, entry.value)
                continue
            for place, text in _scalars(entry.value):
                for message in environment_problems(text):
                    self._refuse(entry.file, place, below, message)

    def _refuse(self, file: str, place: Place, path: str, message: Message) -> None:
        self._findings.append(collector_finding(Severity.ERROR, file, place, path, message))

    def _warn(self, file: str, place: Place, path: str, message: Message) -> None:
        self._findings.append(collector_finding(Severity.WARNING, file, place, path, message))


def _scalars(node: Node) -> Iterator[tuple[Place, str]]:
    """Every text in it that refers to the environment, with its place."""
    if isinstance(node, ScalarNode):
        if "${env:" in node.text:
            yield node.place, node.text
    elif isinstance(node, SequenceNode):
        for item in node.items:
            yield from _scalars(item)
    else:
        for _key, value in node.entries:
            yield from _scalars(value)
