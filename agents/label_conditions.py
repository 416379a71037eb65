"""The one file that turns a selector into a database condition on `Agent.labels`.

Exact, not approximate: version comparisons, which SQL cannot do, become a list of the label's distinct values that
satisfy them.
"""

from __future__ import annotations

from django.db import connection
from django.db.models import Q
from django.db.models.fields.json import KeyTextTransform, KeyTransform

from agents.models import Agent
from agents.selectors import Operator, Requirement, Selector


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
    if connection.vendor == "postgresql":
        # Containment is what the GIN index on labels answers.
        condition = Q(pk__in=[])
        for value in values:
            condition |= Q(labels__contains={key: value})
        return condition
    return Q(pk__in=Agent.objects.alias(_label=KeyTransform(key, "labels")).filter(_label__in=values).values("pk"))


def _satisfying(requirement: Requirement) -> tuple[str, ...]:
    """The distinct values of the label that satisfy a version comparison: tens, however large the fleet."""
    distinct = (
        Agent.objects.filter(labels__has_key=requirement.key)
        .order_by()
        .values_list(KeyTextTransform(requirement.key, "labels"), flat=True)
        .distinct()
    )
    return tuple(value for value in distinct if value is not None and requirement.matches({requirement.key: value}))
