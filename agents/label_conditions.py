"""The one file that turns a selector into a database condition on `Agent.labels`.

Exact, not approximate: version comparisons, which SQL cannot do, become a list of the label's distinct values that
satisfy them.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django.db import connection
from django.db.models import BooleanField, F, Func, Q, TextField, Value

from agents.models import Agent
from agents.selectors import Operator, Requirement, Selector

# Each is a condition of its own; a longer list is one parameter.
_MOST_CONTAINED = 64


def selector_condition(selector: Selector) -> Q:
    """The agents whose labels ``selector`` matches. May ask the database for distinct label values (``Gt``, ``Lt``)."""
    if not selector.requirements:
        return Q() if selector.match_all else Q(pk__in=[])
    condition = Q()
    for requirement in selector.requirements:
        condition &= _clause(requirement)
    return condition


def _clause(requirement: Requirement) -> Q:
    key = requirement.key
    match requirement.operator:
        case Operator.IN:
            return _one_of(key, requirement.values)
        case Operator.NOT_IN:
            # Without the label an agent has none of the values either.
            return ~_one_of(key, requirement.values)
        case Operator.EXISTS:
            return Q(labels__has_key=key)
        case Operator.DOES_NOT_EXIST:
            return ~Q(labels__has_key=key)
        case Operator.GT | Operator.LT:
            return _one_of(key, _satisfying(requirement))


def _one_of(key: str, values: tuple[str, ...]) -> Q:
    if not values:
        return Q(pk__in=[])
    if connection.vendor == "postgresql" and len(values) <= _MOST_CONTAINED:
        # Containment is what the GIN index on labels answers.
        condition = Q(pk__in=[])
        for value in values:
            condition |= Q(labels__contains={key: value})
        return condition
    return Q(pk__in=Agent.objects.filter(Q(_OneOf(label_text(key), Value(json.dumps(values))))).values("pk"))


def _satisfying(requirement: Requirement) -> tuple[str, ...]:
    """The distinct values of the label that satisfy a version comparison."""
    distinct = (
        Agent.objects.filter(labels__has_key=requirement.key)
        .order_by()
        .values_list(label_text(requirement.key), flat=True)
        .distinct()
    )
    return tuple(value for value in distinct if value is not None and requirement.matches({requirement.key: value}))


def label_text(key: str) -> Func:
    """The text of one label, NULL without it. Django's own transforms take a key of digits for a place in a list."""
    if connection.vendor == "postgresql":
        return Func(F("labels"), Value(key), template="(%(expressions)s)", arg_joiner=" ->> ", output_field=TextField())
    return Func(F("labels"), Value(f"$.{json.dumps(key)}"), function="JSON_EXTRACT", output_field=TextField())


class _OneOf(Func):
    """Whether a text is one of a JSON list of texts: one parameter, however long the list."""

    template = "(%(expressions)s)))"
    arg_joiner = " IN (SELECT value FROM JSON_EACH("
    output_field: ClassVar[Any] = BooleanField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """The same with PostgreSQL's name for the function."""
        joiner = " IN (SELECT JSONB_ARRAY_ELEMENTS_TEXT("
        return self.as_sql(compiler, connection, template="(%(expressions)s::jsonb)))", arg_joiner=joiner, **context)
