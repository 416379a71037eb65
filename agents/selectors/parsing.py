"""Selectors from JSON data: a plain map of equalities, or Kubernetes style. All problems are reported, with paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeGuard

from agents.labels import attribute_text, label_key_problem, label_value_problem
from agents.selectors.selector import (
    MATCH_EXPRESSIONS,
    MATCH_LABELS,
    InvalidSelector,
    Operator,
    Requirement,
    Selector,
)
from agents.selectors.versions import version_key
from foundation.messages import Message

MAX_REQUIREMENTS = 64
MAX_VALUES = 256

# A refused key may be of any length; it is quoted back only this far.
_MAX_PATH_LENGTH = 300

_PLAIN_EXAMPLE = '{"env": "prod"}'
_KUBERNETES_EXAMPLE = '{"matchLabels": {…}, "matchExpressions": […]}'
_EXPRESSION_MEMBERS = ("key", "operator", "values")


def parse_selector(data: object, *, match_all: bool = False) -> Selector:
    """A selector from decoded JSON, or `InvalidSelector` with every problem.

    An object with a member ``matchLabels`` or ``matchExpressions`` is Kubernetes style, any other a plain map of
    equalities. Values are text; booleans and whole numbers are taken as text, the way labels show them. Fractions are
    refused, because JSON reads the version 0.100 as 0.1.
    """
    return _SelectorReader().read(data, match_all=match_all)


class _SelectorReader:
    """Collects the problems of one document, so that the operator sees all of them at once."""

    def __init__(self) -> None:
        self._errors: list[tuple[str, Message]] = []

    def read(self, data: object, *, match_all: bool) -> Selector:
        requirements = self._requirements(data)
        if len(requirements) > MAX_REQUIREMENTS:
            message = Message(
                "selector-too-many-clauses",
                "{count} clauses; a selector has at most {most}.",
                count=len(requirements),
                most=MAX_REQUIREMENTS,
            )
            self._refuse("", message)
        if self._errors:
            raise InvalidSelector(self._errors)
        return Selector(requirements=tuple(requirements), match_all=match_all)

    def _requirements(self, data: object) -> list[Requirement]:
        if not isinstance(data, Mapping):
            message = Message(
                "selector-not-an-object",
                "A selector is a JSON object such as {plain} or {kubernetes}.",
                plain=_PLAIN_EXAMPLE,
                kubernetes=_KUBERNETES_EXAMPLE,
            )
            self._refuse("", message)
            return []
        if MATCH_LABELS not in data and MATCH_EXPRESSIONS not in data:
            return self._equalities(data, path="")
        for member in data:
            if member not in (MATCH_LABELS, MATCH_EXPRESSIONS):
                self._refuse(
                    str(member),
                    Message(
                        "selector-unknown-member",
                        "Unknown member beside matchLabels and matchExpressions; move it into matchLabels.",
                    ),
                )
        return [*self._match_labels(data.get(MATCH_LABELS)), *self._match_expressions(data.get(MATCH_EXPRESSIONS))]

    def _match_labels(self, data: object) -> list[Requirement]:
        # Kubernetes writers spell "absent" as null.
        if data is None:
            return []
        if not isinstance(data, Mapping):
            message = Message(
                "match-labels-not-an-object",
                "Must be a JSON object of labels, such as {example}.",
                example=_PLAIN_EXAMPLE,
            )
            self._refuse(MATCH_LABELS, message)
            return []
        return self._equalities(data, path=f"{MATCH_LABELS}.")

    def _equalities(self, data: Mapping[object, object], *, path: str) -> list[Requirement]:
        requirements = []
        for key, value in data.items():
            name = self._key(key, f"{path}{key}")
            text = self._value(value, f"{path}{key}")
            if name is not None and text is not None:
                requirements.append(Requirement(name, Operator.IN, (text,)))
        return requirements

    def _match_expressions(self, data: object) -> list[Requirement]:
        if data is None:
            return []
        if not _is_list(data):
            message = Message(
                "match-expressions-not-a-list", 'Must be a list of objects with "key", "operator" and "values".'
            )
            self._refuse(MATCH_EXPRESSIONS, message)
            return []
        found = (self._expression(item, f"{MATCH_EXPRESSIONS}[{place}]") for place, item in enumerate(data))
        return [requirement for requirement in found if requirement is not None]

    def _expression(self, data: object, path: str) -> Requirement | None:
        if not isinstance(data, Mapping):
            self._refuse(
                path, Message("expression-not-an-object", 'Must be an object with "key", "operator" and "values".')
            )
            return None
        for member in data:
            if member not in _EXPRESSION_MEMBERS:
                message = Message(
                    "expression-unknown-member", 'Unknown member; an expression has "key", "operator" and "values".'
                )
                self._refuse(f"{path}.{member}", message)
        key = self._key(data.get("key"), f"{path}.key")
        operator = self._operator(data.get("operator"), f"{path}.operator")
        values = self._values(data.get("values"), f"{path}.values")
        if key is None or operator is None or values is None:
            return None
        if problem := values_problem(operator, values):
            self._refuse(f"{path}.values", problem)
            return None
        return Requirement(key, operator, values)

    def _key(self, data: object, path: str) -> str | None:
        if not isinstance(data, str):
            self._refuse(path, Message("expression-key-not-text", "Name the label as text, such as os.type."))
            return None
        if problem := label_key_problem(data):
            self._refuse(path, problem)
            return None
        return data

    def _operator(self, data: object, path: str) -> Operator | None:
        if isinstance(data, str):
            for operator in Operator:
                if operator.value == data:
                    return operator
        self._refuse(
            path,
            Message(
                "unknown-operator", "Must be one of {operators}, spelled exactly so.", operators=", ".join(Operator)
            ),
        )
        return None

    def _values(self, data: object, path: str) -> tuple[str, ...] | None:
        if data is None:
            return ()
        if not _is_list(data):
            self._refuse(path, Message("expression-values-not-a-list", 'Must be a list, such as ["linux", "darwin"].'))
            return None
        if len(data) > MAX_VALUES:
            message = Message(
                "clause-too-many-values",
                "{count} values; a clause has at most {most}.",
                count=len(data),
                most=MAX_VALUES,
            )
            self._refuse(path, message)
            return None
        texts = [self._value(item, f"{path}[{place}]") for place, item in enumerate(data)]
        valid = tuple(text for text in texts if text is not None)
        return valid if len(valid) == len(texts) else None

    def _value(self, data: object, path: str) -> str | None:
        if isinstance(data, float):
            self._refuse(path, Message("label-value-fraction", "A fraction is ambiguous as a label; put it in quotes."))
            return None
        text = attribute_text(data) if isinstance(data, str | bool | int) else None
        if text is None:
            self._refuse(
                path, Message("selector-value-not-text", "Must be text; a label is never null, a list or an object.")
            )
            return None
        if problem := label_value_problem(text):
            self._refuse(path, problem)
            return None
        return text

    def _refuse(self, path: str, message: Message) -> None:
        self._errors.append((path[:_MAX_PATH_LENGTH].encode(errors="replace").decode(), message))


def values_problem(operator: Operator, values: Sequence[str]) -> Message | None:
    """Why an operator cannot take these values, or ``None``."""
    match operator:
        case Operator.EXISTS | Operator.DOES_NOT_EXIST:
            return (
                Message(
                    "operator-takes-no-values", "{operator} takes no values; leave them out.", operator=operator.value
                )
                if values
                else None
            )
        case Operator.IN | Operator.NOT_IN:
            return (
                None
                if values
                else Message("operator-needs-values", "{operator} needs at least one value.", operator=operator.value)
            )
        case Operator.GT | Operator.LT:
            if len(values) != 1:
                return Message(
                    "operator-takes-one-version",
                    "{operator} takes exactly one value, a version such as 0.120.0.",
                    operator=operator.value,
                )
            if version_key(values[0]) is None:
                return Message(
                    "operator-compares-versions",
                    "{operator} compares versions, and this is none; write one such as 0.120.0 or v1.2.0-rc.1.",
                    operator=operator.value,
                )
            return None


def _is_list(data: object) -> TypeGuard[Sequence[object]]:
    return isinstance(data, Sequence) and not isinstance(data, str | bytes | bytearray)
