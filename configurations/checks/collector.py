"""Rules of the OpenTelemetry Collector's own configuration, as far as they can be known without its components.

Judged: sections, pipelines and what refers to what, in the one document that agents make of all files. Nothing that is
``${…}``, which only the agent can expand. Where no file has a ``service`` the files are a part of a configuration whose rest
the agent may have, so all is said as a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from configurations.checks.component_ids import component_id, id_problem, type_of
from configurations.checks.component_settings import SLIPPED, Problem, settings_problems, telemetry_problems
from configurations.checks.documents import (
    COMPONENT_SECTIONS,
    SECTIONS,
    SERVICE_KEYS,
    Misread,
    is_collectors,
    misspellings,
    misspelt_service,
)
from configurations.checks.expansion import reference_problems
from configurations.checks.findings import Finding, Place, Severity, shown_value
from configurations.checks.key_paths import keys_read_as_paths
from configurations.checks.merging import Merged, MergedEntry
from configurations.checks.pipelines import Name, Pipeline
from configurations.checks.ports import port_problems
from configurations.checks.references import Picture, ReferenceCheck, collector_finding
from configurations.checks.spelling import meant
from configurations.checks.tree import MappingNode, Node, ScalarNode, SequenceNode
from foundation.messages import Message

_PIPELINE_MEMBERS = ("receivers", "processors", "exporters")
_SIGNALS = ("traces", "metrics", "logs", "profiles")
_SIGNAL_LIST = "traces, metrics, logs"
_SECTION_LIST = ", ".join(SECTIONS)


def check_collector(files: Mapping[str, MappingNode], misread: Misread, document: Merged) -> list[Finding]:
    """Findings that name their file; none when the files are not meant for a Collector.

    ``document`` is made of the ``files`` that are not ``misread``.
    """
    if not is_collectors(document):
        return misread.findings
    misspelt = misspellings(document)
    found = [
        *(finding for file, root in files.items() for finding in keys_read_as_paths(file, root)),
        *_CollectorCheck(document, misspelt).findings(),
    ]
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
        self._judge_references("", self._whole, set())
        has_pipelines = self._read_service()
        self._judge_settings()
        if has_pipelines:
            self._references.judge()
            self._judge_ports()
            self._judge_presence()
        return self._findings

    # Reading: shapes are judged here.

    def _read_sections(self) -> None:
        misspelt = misspelt_service(self._whole)
        for section, entry in self._whole.entries.items():
            if section in COMPONENT_SECTIONS:
                self._read_components(section, entry)
            elif section != "service" and entry is not misspelt and "service" in self._whole.entries:
                if shown_value(section) in {finding.path for finding in self._misspelt}:
                    continue
                problem = Message(
                    "unknown-section", "The Collector has no section of this name; it has {known}.", known=_SECTION_LIST
                )
                # What was meant may hold what pipelines name.
                self._picture.open_sections.add(meant(section, COMPONENT_SECTIONS) or "")
                self._refuse(
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
            self._picture.open_sections.add(section)
            self._refuse(entry.file, entry.place, section, message)

    def _read_component(self, section: str, text: str, component: MergedEntry) -> None:
        path = f"{section}.{shown_value(text)}"
        if (problem := id_problem(text)) is not None:
            self._picture.unclear_roles.update(_roles_of(section))
            self._refuse(component.file, component.key.place, path, problem)
        name = Name(component_id(text), component.file, component.key.place, path, component)
        if (former := self._picture.defined[section].get(name.text)) is not None:
            self._refuse(component.file, component.key.place, path, _twice(name, former))
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
        for part in extensions.parts if extensions else ():
            self._read_references("extensions", part, "service.extensions")
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
                self._refuse(entry.file, entry.key.place, path, self._references.suggest(problem, name, SERVICE_KEYS))
        telemetry = service.get("telemetry")
        if telemetry is not None:
            for problem_found in telemetry_problems(telemetry):
                self._add(problem_found)

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
            return False
        else:
            first: dict[str, Name] = {}
            for name, pipeline in pipelines.value.entries.items():
                below = f"{path}.{shown_value(name)}"
                self._read_pipeline(name, pipeline, below)
                here = Name(component_id(name), pipeline.file, pipeline.key.place, below)
                former = first.setdefault(here.text, here)
                if former is not here:
                    self._refuse(here.file, here.place, below, _twice(here, former))
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
            self._refuse(pipeline.file, pipeline.key.place, path, said)
        elif type_of(text) == "profiles":
            message = Message(
                "pipeline-signal-gated",
                "The Collector refuses pipelines of profiles unless it is started with the feature gate {gate}.",
                gate="service.profilesSupport",
            )
            self._refuse(pipeline.file, pipeline.key.place, path, message)
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
            self._picture.unclear_roles.update(_PIPELINE_MEMBERS)
            self._refuse(pipeline.file, place, path, message)
            return
        line = Pipeline(component_id(text))
        self._picture.pipelines.append(line)
        misnamed = set()
        for member, entry in pipeline.value.entries.items():
            if member not in _PIPELINE_MEMBERS:
                problem = Message(
                    "pipeline-unknown-key",
                    "A pipeline has only receivers, processors and exporters; a connector is listed as one of these.",
                )
                message = self._references.suggest(problem, member, _PIPELINE_MEMBERS)
                misnamed.add(meant(member, _PIPELINE_MEMBERS) or "")
                self._picture.unclear_roles.update(_PIPELINE_MEMBERS)
                self._refuse(entry.file, entry.key.place, f"{path}.{shown_value(member)}", message)
        for role in _PIPELINE_MEMBERS:
            names = self._read_references(role, pipeline.value.get(role), f"{path}.{role}")
            line.members(role).extend(names or ())
            if names == [] and role != "processors" and role not in misnamed:
                self._picture.unclear_roles.add(role)
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
            self._picture.unclear_roles.add(role)
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
                self._picture.unclear_roles.add(role)
                self._refuse(entry.file, item.place, f"{path}[{place}]", message)
                known = False
        self._picture.used[role] += names
        if role == "processors":
            self._references.judge_repeats(names)
        return names if names or known else None

    # Judging: what stands within components, as far as it is known.

    def _judge_settings(self) -> None:
        for section, defined in self._picture.defined.items():
            problems = [
                (name, problem)
                for text, name in defined.items()
                if name.entry is not None and id_problem(text) is None
                for problem in settings_problems(section, text, name)
            ]
            # Where settings slipped a level up, the components above them only seem to lack them.
            slipped = any(problem.message.code == SLIPPED for _name, problem in problems)
            for name, problem in problems:
                self._picture.mistaken.add(name.path)
                if not slipped or problem.message.code == SLIPPED:
                    self._add(problem)

    def _judge_ports(self) -> None:
        started = [
            (section, name)
            for section, defined in self._picture.defined.items()
            for text, name in defined.items()
            if any(used.text == text for role in _roles_of(section) for used in self._picture.used[role])
        ]
        for file, place, path, message in port_problems(started):
            self._warn(file, place, path, message)

    def _judge_presence(self) -> None:
        """At last: what pipelines name is there, or told to be missing."""
        if any(finding.severity is Severity.ERROR for finding in self._findings):
            return
        for section in ("receivers", "exporters"):
            if not self._picture.defined[section] and section not in self._picture.open_sections:
                service = self._whole.entries["service"]
                message = Message(
                    "section-missing",
                    "There are no {section}; the Collector needs at least one besides its connectors.",
                    section=section,
                )
                self._refuse(service.file, service.key.place, section, message)

    def _judge_references(self, path: str, within: Merged, seen: set[str]) -> None:
        """Of one variable without a default one warning is enough."""
        for key, entry in within.entries.items():
            below = f"{path}.{shown_value(key)}".removeprefix(".")
            if isinstance(entry.value, Merged):
                self._judge_references(below, entry.value, seen)
                continue
            for place, text in _scalars(entry.value):
                for severity, name, message in reference_problems(text):
                    if severity is Severity.ERROR or not name or name not in seen:
                        self._findings.append(collector_finding(severity, entry.file, place, below, message))
                    if severity is Severity.WARNING:
                        seen.add(name)

    def _add(self, problem: Problem) -> None:
        self._findings.append(
            collector_finding(problem.severity, problem.file, problem.place, problem.path, problem.message)
        )

    def _refuse(self, file: str, place: Place, path: str, message: Message) -> None:
        self._findings.append(collector_finding(Severity.ERROR, file, place, path, message))

    def _warn(self, file: str, place: Place, path: str, message: Message) -> None:
        self._findings.append(collector_finding(Severity.WARNING, file, place, path, message))


def _roles_of(section: str) -> tuple[str, ...]:
    return ("receivers", "exporters") if section == "connectors" else (section,)


def _twice(name: Name, former: Name) -> Message:
    return Message(
        "component-id-twice",
        "{name} already stands in line {line}: blanks around type and name do not count. Remove one of the two.",
        name=shown_value(name.text),
        line=former.place.line,
    )


def _scalars(node: Node) -> Iterator[tuple[Place, str]]:
    """Every text in it that refers to something, with its place."""
    if isinstance(node, ScalarNode):
        if "${" in node.text:
            yield node.place, node.text
    elif isinstance(node, SequenceNode):
        for item in node.items:
            yield from _scalars(item)
    else:
        for _key, value in node.entries:
            yield from _scalars(value)
