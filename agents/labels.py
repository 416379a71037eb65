"""Labels: what an agent's attributes and its operator labels mean to selectors, searches and columns.

Pure: standard library only. It must not know who stores labels or what a selector is. Everything is recomputed as a
whole from the present description, so that an attribute the agent no longer reports is gone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from agents.reports import AgentDescription, Json, JsonObject
from foundation.errors import DomainError
from foundation.messages import Message

MAX_LABELS = 128
MAX_KEY_LENGTH = 255
MAX_VALUE_LENGTH = 1024

# Control characters break tables and exports; PostgreSQL refuses U+0000, and a lone surrogate has no UTF-8 form at all.
_UNWRITABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# Leaves out every character that label queries or the search language give a meaning: blanks and , = ! < > ( ) : " .
_OPERATOR_KEY = re.compile(r"\w[\w./@-]*")


class InvalidLabels(DomainError):
    """Operator labels that cannot be kept.

    ``errors`` holds one ``(key, message)`` pair per problem; the key is ``""`` when the map as a whole is wrong.
    """

    def __init__(self, errors: list[tuple[str, Message]]) -> None:
        self.errors: tuple[tuple[str, Message], ...] = tuple(errors)
        super().__init__(Message("invalid-labels", "The labels are not valid."))

    def __str__(self) -> str:
        """In English, label by label."""
        return "; ".join(str(problem) for problem in self.problems)

    @property
    def problems(self) -> list[Message]:
        """One for each, with its key."""
        return [Message.at(key, message) for key, message in self.errors]


@dataclass(frozen=True, slots=True)
class DescribedFacts:
    """The well-known attributes shown by name (OpenTelemetry resource conventions); ``""`` when absent."""

    service_name: str = ""
    service_version: str = ""
    service_namespace: str = ""
    service_instance_id: str = ""
    hostname: str = ""
    architecture: str = ""
    os_type: str = ""
    os_description: str = ""


def labels_of(
    description: AgentDescription | None, operator_labels: Mapping[str, str], trusted_keys: Collection[str] = ()
) -> dict[str, str]:
    """What selectors match: both attribute maps as text, then the operator's labels, which win.

    Of a key in both maps the identifying attribute counts. An attribute without a value is left out; so is what an agent
    says under one of ``trusted_keys``, for which only an operator's label counts.
    """
    labels = _described(description)
    for key in trusted_keys:
        labels.pop(key, None)
    labels.update(operator_labels)
    return labels


def asserted_of(description: AgentDescription | None, trusted_keys: Collection[str]) -> dict[str, str]:
    """What an agent says of itself under ``trusted_keys``: shown to people, and matched by nothing."""
    if not trusted_keys:
        return {}
    described = _described(description)
    return {key: described[key] for key in trusted_keys if key in described}


def _described(description: AgentDescription | None) -> dict[str, str]:
    described: dict[str, str] = {}
    if description is not None:
        for attributes in (description.non_identifying_attributes, description.identifying_attributes):
            described.update(
                {key: text for key, value in attributes.items() if (text := attribute_text(value)) is not None}
            )
    return described


def facts_of(description: AgentDescription | None) -> DescribedFacts:
    """The well-known attributes, looked for in the identifying and then the non-identifying ones.

    Real agents put ``host.*`` and ``os.*`` into the second map; an empty value in the first does not hide the second.
    """
    if description is None:
        return DescribedFacts()
    places = (description.identifying_attributes, description.non_identifying_attributes)
    return DescribedFacts(
        service_name=_first_text(places, "service.name"),
        service_version=_first_text(places, "service.version"),
        service_namespace=_first_text(places, "service.namespace"),
        service_instance_id=_first_text(places, "service.instance.id"),
        hostname=_first_text(places, "host.name"),
        architecture=_first_text(places, "host.arch"),
        os_type=_first_text(places, "os.type"),
        os_description=_first_text(places, "os.description"),
    )


def attribute_text(value: Json) -> str | None:
    """An attribute value as label text, ``None`` for a null.

    Booleans are ``true``/``false`` and lists and objects compact JSON, both as an operator would write them in JSON.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def validate_labels(labels: Mapping[object, object]) -> dict[str, str]:
    """Operator labels as they may be stored, or `InvalidLabels` naming every wrong label.

    Keys are 1 to 255 letters, digits and ``_ . - / @``, starting with a letter, digit or ``_``: OpenTelemetry attribute
    names and Kubernetes label keys fit, and no key needs quotes in a query. Values are text of up to 1024 characters.
    """
    errors: list[tuple[str, Message]] = []
    valid: dict[str, str] = {}
    if len(labels) > MAX_LABELS:
        too_many = Message(
            "too-many-labels",
            "{count} labels; at most {most} are kept for an agent, remove some.",
            count=len(labels),
            most=MAX_LABELS,
        )
        errors.append(("", too_many))
    for key, value in labels.items():
        if not isinstance(key, str):
            errors.append((str(key), Message("label-key-not-text", "A label key must be text.")))
            continue
        problem = operator_key_problem(key)
        if problem is None and not isinstance(value, str):
            problem = Message("label-value-not-text", "A label value must be text; put it in quotes.")
        if isinstance(value, str):
            problem = problem or label_value_problem(value)
            valid[key] = value
        if problem is not None:
            errors.append((_printable(key), problem))
    if errors:
        raise InvalidLabels(errors)
    return valid


def label_key_problem(key: str) -> Message | None:
    """Why no label can have this key, or ``None``. Wider than `validate_labels`: agents report such keys too."""
    if not key.strip():
        return Message("label-key-empty", "A label key must not be empty.")
    if key != key.strip():
        return Message("label-key-blanks", "A label key must not begin or end with a blank.")
    return _text_problem(key, Message("label-key", "A label key"), MAX_KEY_LENGTH)


def label_value_problem(value: str) -> Message | None:
    """Why no operator may write this value, or ``None``. Empty is a value."""
    return _text_problem(value, Message("label-value", "A label value"), MAX_VALUE_LENGTH)


def operator_key_problem(key: str) -> Message | None:
    """Why no operator may write this key, or ``None``."""
    if problem := label_key_problem(key):
        return problem
    if _OPERATOR_KEY.fullmatch(key):
        return None
    return Message(
        "label-key-characters",
        "Use only letters, digits and _ . - / @ and begin with a letter, digit or _ (as in os.type or team/owner).",
    )


def _text_problem(text: str, what: Message, limit: int) -> Message | None:
    if len(text) > limit:
        return Message(
            "label-text-too-long",
            "{what} has at most {most} characters; this one has {count}.",
            what=what,
            most=limit,
            count=len(text),
        )
    if found := _UNWRITABLE.search(text):
        return Message(
            "label-text-control-character",
            "{what} must not contain control characters ({character} at character {place}).",
            what=what,
            character=f"U+{ord(found[0]):04X}",
            place=found.start() + 1,
        )
    return None


def _printable(key: str) -> str:
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", key[:MAX_KEY_LENGTH])


def _first_text(places: tuple[JsonObject, ...], key: str) -> str:
    for attributes in places:
        if text := attribute_text(attributes.get(key)):
            return text
    return ""
