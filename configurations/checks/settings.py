"""What the Collector refuses of the settings of components, as far as they are known: names, types, choices, what is required.

The facts stand in `component_schemas` and `component_rules`; here they are applied. What is ``${…}`` is not judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from configurations.checks import component_rules
from configurations.checks.component_ids import type_of
from configurations.checks.component_schemas import Schemas, schemas
from configurations.checks.component_types import KNOWN, REMOVED, SETTINGS_NOT_TYPES, VERSION
from configurations.checks.findings import Place, Severity, shown_value
from configurations.checks.merging import Merged, MergedEntry
from configurations.checks.pipelines import Name
from configurations.checks.scalars import is_duration, kind_of
from configurations.checks.spelling import meant, with_suggestion
from configurations.checks.tree import MappingNode, Node, ScalarNode, SequenceNode
from foundation.messages import Message

_CHOICES = re.compile(r"~?[\w.+-]+(\|[\w.+-]+)+")
SLIPPED = "component-is-a-setting"
# Of one component. More help nobody.
_MOST_PROBLEMS = 20

_WANTED = {
    "string": Message("text-wanted", "text: put it in quotes"),
    "bool": Message("boolean-wanted", "true or false, without quotes"),
    "int": Message("whole-number-wanted", "a whole number, without quotes"),
    "uint": Message("count-wanted", "a whole number from 0, without quotes"),
    "float": Message("number-wanted", "a number, without quotes"),
    "duration": Message("duration-wanted", "a duration such as 5s, 1m30s or 500ms"),
}
_LIST = Message("list-wanted", "a list")
_OBJECT = Message("object-wanted", "an object of settings: a blank may be missing behind a colon, or a line break")


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault at a place of a file."""

    severity: Severity
    file: str
    place: Place
    path: str
    message: Message


@dataclass(frozen=True, slots=True)
class Setting:
    """A value with where it stands: part of the merged whole, or within a list of one file."""

    value: Merged | Node
    file: str
    place: Place
    path: str

    def entries(self) -> Iterator[tuple[str, Place, Setting]]:
        """By name, with the place of the name; none of what is no object."""
        if isinstance(self.value, Merged):
            for name, entry in self.value.entries.items():
                path = f"{self.path}.{shown_value(name)}"
                yield name, entry.key.place, Setting(entry.value, entry.file, entry.place, path)
        elif isinstance(self.value, MappingNode):
            for key, value in self.value.named():
                path = f"{self.path}.{shown_value(key.text)}"
                yield key.text, key.place, Setting(value, self.file, value.place, path)

    @property
    def is_open(self) -> bool:
        """Only the agent knows what it is, or nothing stands there, which keeps the default."""
        return isinstance(self.value, ScalarNode) and (self.value.is_null or "${" in self.value.text)


def settings_problems(section: str, text: str, name: Name) -> Iterator[Problem]:
    """Of one component of a section; ``text`` is its id. What is wrong with its type makes its settings unknown."""
    entry = name.entry
    assert entry is not None  # noqa: S101  names of sections have one
    kind = type_of(text)
    wrong = _type_problem(section, kind)
    if wrong is not None:
        severity, message = wrong
        yield Problem(severity, name.file, name.place, name.path, message)
        return
    if entry.is_expanded_by_agent or not (entry.is_null or isinstance(entry.value, Merged)):
        return
    found = list(_component(section, kind, entry, name))
    yield from found[:_MOST_PROBLEMS]


def _type_problem(section: str, kind: str) -> tuple[Severity, Message] | None:
    if kind in KNOWN.get(section, ()):
        return None
    if section == "exporters" and kind == "logging":
        message = Message("logging-exporter-removed", "The exporter logging was removed from the Collector; use debug.")
        return Severity.ERROR, message
    instead = REMOVED[section].get(kind)
    if instead is not None:
        message = Message(
            "component-removed",
            "{name} was removed from the Collector before {version}; use {instead}.",
            name=kind,
            version=VERSION,
            instead=instead,
        )
        return Severity.ERROR, message
    if kind in SETTINGS_NOT_TYPES:
        message = Message(
            "component-is-a-setting",
            "{name} is a setting, and stands where a component is expected; indent it below its component.",
            name=kind,
        )
        return Severity.ERROR, message
    for most, severity in ((1, Severity.ERROR), (2, Severity.WARNING)):
        likely = meant(kind, sorted(KNOWN[section]), most=most)
        if likely is not None:
            message = Message(
                "component-type-misspelt",
                "Few agents know the type {name}. Did you mean {likely}?",
                name=shown_value(kind),
                likely=likely,
            )
            return severity, message
    return None


def _component(section: str, kind: str, entry: MergedEntry, name: Name) -> Iterator[Problem]:
    known = schemas()
    setting = Setting(entry.value, entry.file, entry.place, name.path)
    schema = known.component(section, kind)
    shapes = list(_judged(setting, schema, known)) if schema else []
    yield from shapes
    # A rule that misses what is misspelt would be a second finding of one fault.
    if not shapes:
        for path, message in component_rules.problems(section, kind, entry):
            place, file, below = name.place, name.file, name.path
            at = _at(entry, path)
            if at is not None:
                place, file, below = at.place, at.file, f"{name.path}.{'.'.join(path)}"
            yield Problem(Severity.ERROR, file, place, below, message)


def _at(entry: MergedEntry, path: tuple[str, ...]) -> MergedEntry | None:
    found: MergedEntry | None = entry
    for step in path:
        found = found.value.get(step) if found is not None and isinstance(found.value, Merged) else None
    return found if path else None


def telemetry_problems(telemetry: MergedEntry) -> Iterator[Problem]:
    """Mistakes under ``service.telemetry``."""
    setting = Setting(telemetry.value, telemetry.file, telemetry.place, "service.telemetry")
    known = schemas()
    shapes = list(_judged(setting, known.component("service", "telemetry"), known))
    yield from shapes[:_MOST_PROBLEMS]
    if shapes:
        return
    for path, message in component_rules.telemetry_problems(telemetry):
        at = _at(telemetry, path)
        if at is not None:
            yield Problem(Severity.ERROR, at.file, at.place, f"service.telemetry.{'.'.join(path)}", message)


def _judged(setting: Setting, kind: str, known: Schemas) -> Iterator[Problem]:
    """Everything in ``setting`` that is not of the type ``kind``."""
    # What may be left out may be switched on and off by the field enabled.
    is_optional = kind.startswith("?")
    kind = kind.removeprefix("?")
    if kind in ("any", "text") or setting.is_open:
        return
    if kind.startswith("[]"):
        yield from _list(setting, kind[2:], known)
    elif kind.startswith("{}"):
        yield from _map(setting, kind[2:], known)
    elif kind == "pairs":
        # An object of texts, or a list of objects with name and value.
        yield from _map(setting, "string", known) if not isinstance(setting.value, SequenceNode) else ()
    elif kind in _WANTED:
        if not _fits(setting.value, kind):
            yield _problem(setting, _not_of_type(setting, _WANTED[kind]))
    elif _CHOICES.fullmatch(kind):
        yield from _choice(setting, kind.removeprefix("~").split("|"), folded=kind.startswith("~"))
    else:
        yield from _object(setting, known.type(kind) | ({"enabled": "bool"} if is_optional else {}), known)


def _list(setting: Setting, kind: str, known: Schemas) -> Iterator[Problem]:
    if isinstance(setting.value, SequenceNode):
        for number, item in enumerate(setting.value.items):
            yield from _judged(Setting(item, setting.file, item.place, f"{setting.path}[{number}]"), kind, known)
    elif not (
        isinstance(setting.value, ScalarNode) and kind in ("string", "text", "any") and _fits(setting.value, "string")
    ):
        # One text alone is read as a list of it.
        yield _problem(setting, _not_of_type(setting, _LIST))


def _map(setting: Setting, kind: str, known: Schemas) -> Iterator[Problem]:
    if not isinstance(setting.value, Merged | MappingNode):
        yield _problem(setting, _not_of_type(setting, _OBJECT))
    for _name, _place, value in setting.entries():
        yield from _judged(value, kind, known)


def _object(setting: Setting, fields: dict[str, str], known: Schemas) -> Iterator[Problem]:
    if not isinstance(setting.value, Merged | MappingNode):
        yield _problem(setting, _not_of_type(setting, _OBJECT))
        return
    for name, place, value in setting.entries():
        kind = fields.get(name) or fields.get("*")
        if kind is None:
            yield Problem(Severity.ERROR, value.file, place, value.path, _unknown(setting, name, fields))
        else:
            yield from _judged(value, kind, known)


def _unknown(setting: Setting, name: str, fields: dict[str, str]) -> Message:
    names = sorted(fields)
    within = setting.path.rpartition(".")[2]
    if not names:
        return Message("setting-without-settings", "{within} has no settings; remove them.", within=within)
    problem = Message(
        "setting-unknown",
        "{within} has no setting of this name; it has {known}.",
        within=within,
        known=", ".join(names[:12]) + (", …" if len(names) > 12 else ""),
    )
    return with_suggestion(problem, name, names)


def _choice(setting: Setting, choices: list[str], *, folded: bool) -> Iterator[Problem]:
    value = setting.value
    if not isinstance(value, ScalarNode):
        yield _problem(setting, _not_of_type(setting, _WANTED["string"]))
        return
    text = value.text.lower() if folded else value.text
    if kind_of(value) != "string" or (text and text not in choices):
        problem = Message(
            "setting-choice", "{name} is one of {choices}.", name=_last(setting), choices=", ".join(choices)
        )
        yield _problem(setting, with_suggestion(problem, value.text, choices))


def _fits(value: Merged | Node, kind: str) -> bool:
    """As mapstructure decodes without weak typing: a number may be of another kind, and text is never a number."""
    if not isinstance(value, ScalarNode):
        return False
    given = kind_of(value)
    match kind:
        case "string":
            return given == "string"
        case "bool":
            return given == "bool"
        case "duration":
            return given in ("int", "float") or (given == "string" and is_duration(value.text))
        case "uint":
            return given in ("int", "float") and not value.text.lstrip().startswith("-")
        case _:
            return given in ("int", "float")


def _not_of_type(setting: Setting, wanted: Message) -> Message:
    return Message("setting-type", "{name} must be {wanted}.", name=_last(setting), wanted=wanted)


def _last(setting: Setting) -> str:
    return setting.path.rpartition(".")[2]


def _problem(setting: Setting, message: Message) -> Problem:
    return Problem(Severity.ERROR, setting.file, setting.place, setting.path, message)
