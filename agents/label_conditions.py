"""The one file that turns a selector into a database condition on `Agent.labels`.

Exact, not approximate: version comparisons, which SQL cannot do, become a list of the label's distinct values that
satisfy them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any, ClassVar

from django.db import connection
from django.db.models import BooleanField, F, Func, Q, TextField, Value
from django.db.models.functions import Left
from django.db.models.lookups import Exact, IsNull

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


def label_prefix_condition(key: str, prefix: str) -> Q:
    """The agents with a label whose value begins with ``prefix``; an empty one: whose value is not empty. Never NULL."""
    begins = begins_with(label_text(key), prefix)
    return has_label(key) & Q(pk__in=Agent.objects.filter(begins).order_by().values("pk"))


def admitted_label_condition(key: str, admits: Callable[[str], bool]) -> Q:
    """The agents with a label whose value ``admits`` takes. Asks the database for the distinct values."""
    return _one_of(key, tuple(value for value in _distinct(key) if value is not None and admits(value)))


def begins_with(text: Any, prefix: str) -> Q:
    """Whether a text of the database begins with ``prefix``, whatever LIKE would do; of an empty one, whether there is any text."""
    if not prefix:
        return ~Q(Exact(text, Value("", output_field=TextField())))
    return Q(Exact(Left(text, len(prefix)), Value(prefix, output_field=TextField())))


def column_one_of(field: str, values: Collection[str]) -> Q:
    """Whether a column of agents is one of these texts: one parameter, however many there are."""
    return Q(_OneOf(F(field), Value(json.dumps(sorted(values))))) if values else Q(pk__in=[])


def has_label(key: str) -> Q:
    """The agents with a label of this key."""
    if _is_beyond_paths(key):
        return Q(IsNull(label_text(key), False))
    return Q(labels__has_key=key)


def _clause(requirement: Requirement) -> Q:
    key = requirement.key
    match requirement.operator:
        case Operator.IN:
            return _one_of(key, requirement.values)
        case Operator.NOT_IN:
            # Without the label an agent has none of the values either.
            return ~_one_of(key, requirement.values)
        case Operator.EXISTS:
            return has_label(key)
        case Operator.DOES_NOT_EXIST:
            return ~has_label(key)
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
    return tuple(
        value
        for value in _distinct(requirement.key)
        if value is not None and requirement.matches({requirement.key: value})
    )


def _distinct(key: str) -> Any:
    """The distinct values of a label."""
    agents = Agent.objects.filter(has_label(key)).order_by()
    return agents.values_list(label_text(key), flat=True).distinct()


def label_text(key: str) -> Func:
    """The text of one label, NULL without it. Django's own transforms take a key of digits for a place in a list."""
    if connection.vendor == "postgresql":
        return Func(F("labels"), Value(key), template="(%(expressions)s)", arg_joiner=" ->> ", output_field=TextField())
    if _is_beyond_paths(key):
        return Func(
            F("labels"),
            Value(key),
            template="(SELECT value FROM JSON_EACH(%(expressions)s LIMIT 1)",
            arg_joiner=") WHERE key = ",
            output_field=TextField(),
        )
    return Func(F("labels"), Value(f"$.{json.dumps(key)}"), function="JSON_EXTRACT", output_field=TextField())


def _is_beyond_paths(key: str) -> bool:
    """Whether SQLite has no path to this key: in older releases none has a quote in it."""
    return connection.vendor == "sqlite" and '"' in key


class _OneOf(Func):
    """Whether a text is one of a JSON list of texts: one parameter, however long the list."""

    template = "(%(expressions)s)))"
    arg_joiner = " IN (SELECT value FROM JSON_EACH("
    output_field: ClassVar[Any] = BooleanField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """The same with PostgreSQL's name for the function."""
        joiner = " IN (SELECT JSONB_ARRAY_ELEMENTS_TEXT("
        return self.as_sql(compiler, connection, template="(%(expressions)s::jsonb)))", arg_joiner=joiner, **context)
