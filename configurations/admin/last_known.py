"""How many of the agents that applied a configuration are not connected, so that this is the last word heard of them."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Count

from agents.admin import facets
from configurations.models import Assignment, Configuration
from configurations.outcome import AssignmentStatus

_PART = "composition__parts__configuration"


def count_last_known(configurations: Iterable[Configuration]) -> list[Configuration]:
    """Each given, as ``last_known_count``. Wholes are counted with the other facets of agents, fragments by themselves."""
    rows = facets.with_last_known(configurations)
    fragments = [row for row in rows if row.is_fragment]
    if fragments:
        applied = Assignment.objects.filter(status=AssignmentStatus.APPLIED, agent__connected=False)
        found = applied.filter(**{f"{_PART}__in": fragments}).order_by().values_list(_PART).annotate(number=Count("*"))
        counts = dict(found)
        for row in fragments:
            row.last_known_count = counts.get(row.pk, 0)
    return rows
