"""What can be told of components without knowing them all: their ids, and a few mistakes of settings that are made often.

Unknown components and settings are the agent's to judge, so all that is said of settings is a warning.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from configurations.checks.findings import shown_value
from configurations.checks.merging import Merged, MergedEntry
from configurations.checks.spelling import meant, with_suggestion
from configurations.checks.tree import ScalarNode
from foundation.messages import Message

# As the Collector reads ids: a type, and behind a slash a name.
_TYPE = re.compile(r"[a-zA-Z][0-9a-zA-Z_]{0,62}")
_MAX_NAME = 1024
_ENV = re.compile(r"(?<!\$)(?:\$\$)*\$\{env:([^${}]*)\}")
_ENV_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_LEVELS = ("none", "basic", "normal", "detailed")
_TELEMETRY = ("logs", "metrics", "traces", "resource")
_PROTOCOLS = ("grpc", "http")

# Types that are in nearly every distribution; names of four letters are too short to guess from.
_WELL_KNOWN = {
    "receivers": ("filelog", "hostmetrics", "jaeger", "kafka", "prometheus", "zipkin"),
    "processors": ("attributes", "batch", "filter", "k8sattributes", "memory_limiter", "resource", "transform"),
    "exporters": ("debug", "kafka", "otlphttp", "prometheus", "prometheusremotewrite"),
}

# A problem with the path to it below its component, and the entry where it is, if it is a part of the component.
Problem = tuple[str, MergedEntry | None, Message]


def component_id(text: str) -> str:
    """The id as the Collector compares it: blanks around type and name do not count."""
    kind, slash, name = text.partition("/")
    return f"{kind.strip()}{slash}{name.strip()}"


def type_of(text: str) -> str:
    """The type an id begins with."""
    return text.partition("/")[0].strip()


def id_problem(text: str) -> Message | None:
    """Why the Collector would not take this id. Parts that only the agent can expand are not judged."""
    kind, slash, name = (part.strip() for part in text.partition("/"))
    if "${" in text:
        return None
    if not _TYPE.fullmatch(kind):
        return Message(
            "component-type-characters",
            "{name} is no id: the type before the slash has letters, digits and underscores, and begins with a letter.",
            name=shown_value(text),
        )
    if slash and (not name or len(name) > _MAX_NAME or any(unicodedata.category(sign)[0] in "ZCS" for sign in name)):
        return Message(
            "component-name-characters",
            "{name} is no id: the name behind the slash has neither blanks nor symbols.",
            name=shown_value(text),
        )
    return None


def settings_problems(section: str, text: str, component: MergedEntry) -> Iterator[Problem]:
    """Mistakes known of some components; ``text`` is the id."""
    kind = type_of(text)
    likely = meant(kind, _WELL_KNOWN.get(section, ()))
    if likely is not None and likely != kind:
        yield (
            "",
            None,
            Message(
                "component-type-misspelt",
                "Few agents know the type {name}. Did you mean {likely}?",
                name=shown_value(kind),
                likely=likely,
            ),
        )
    settings = component.value if isinstance(component.value, Merged) else None
    if component.is_expanded_by_agent:
        return
    match section, kind:
        case "receivers", "otlp":
            yield from _otlp(settings)
        case "processors", "memory_limiter":
            if settings is None or "check_interval" not in settings.entries:
                yield (
                    "",
                    None,
                    Message(
                        "memory-limiter-incomplete", "memory_limiter needs check_interval, such as 1s, and a limit."
                    ),
                )
        case "exporters", "logging":
            yield (
                "",
                None,
                Message("logging-exporter-removed", "The exporter logging was removed from the Collector; use debug."),
            )
        case "exporters", "debug":
            yield from _level(settings, "verbosity", _LEVELS[1:])


def _otlp(settings: Merged | None) -> Iterator[Problem]:
    protocols = None if settings is None else settings.get("protocols")
    if protocols is not None and protocols.is_expanded_by_agent:
        return
    if protocols is None or not isinstance(protocols.value, Merged) or not protocols.value.entries:
        yield (
            "",
            None,
            Message(
                "otlp-without-protocol",
                "An otlp receiver needs a protocol; write protocols: with grpc: or http: (or both) below it.",
            ),
        )
        return
    for name in _PROTOCOLS:
        entry = protocols.value.get(name)
        if entry is None or entry.is_null or entry.is_expanded_by_agent or isinstance(entry.value, Merged):
            continue
        message = Message(
            "component-settings-not-an-object",
            "{name} must be an object of settings; a blank is missing behind a colon, or a line break.",
            name=name,
        )
        yield f"protocols.{name}", entry, message


def telemetry_problems(telemetry: Merged) -> Iterator[Problem]:
    """Mistakes under ``service.telemetry``."""
    for name, entry in telemetry.entries.items():
        if name not in _TELEMETRY:
            known = ", ".join(_TELEMETRY)
            problem = Message(
                "telemetry-unknown-key", "telemetry has no settings of this name; it has {known}.", known=known
            )
            yield shown_value(name), entry, with_suggestion(problem, name, _TELEMETRY)
    metrics = telemetry.get("metrics")
    if metrics is not None and isinstance(metrics.value, Merged):
        for path, entry, message in _level(metrics.value, "level", _LEVELS):
            yield f"metrics.{path}", entry, message


def _level(settings: Merged | None, name: str, levels: tuple[str, ...]) -> Iterator[tuple[str, MergedEntry, Message]]:
    entry = None if settings is None else settings.get(name)
    if entry is None or entry.is_expanded_by_agent or not isinstance(entry.value, ScalarNode):
        return
    text = entry.value.text
    if text.lower() not in levels:
        problem = Message("unknown-level", "{name} is one of {levels}.", name=name, levels=", ".join(levels))
        yield name, entry, with_suggestion(problem, text, levels)


def environment_problems(text: str) -> Iterator[Message]:
    """Names of environment variables in a text that the Collector refuses."""
    for found in _ENV.finditer(text):
        name = found[1].partition(":-")[0]
        if not _ENV_NAME.fullmatch(name):
            yield Message(
                "environment-variable-name",
                "{name} is no name of an environment variable: letters, digits and underscores, no digit first.",
                name=repr(shown_value(name)),
            )
