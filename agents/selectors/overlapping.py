"""Whether two selectors can match the same agent, be there one or not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from agents.selectors.selector import Operator, Requirement, Selector
from agents.selectors.versions import version_key

_PRESENT = {Operator.IN, Operator.EXISTS, Operator.GT, Operator.LT}


def can_both_match(one: Selector, other: Selector) -> bool:
    """Whether some labels satisfy both.

    False only when none can: between two versions there is taken to be a third. So of labels that agents have it never says
    too little.
    """
    if not all(selector.requirements or selector.match_all for selector in (one, other)):
        return False
    by_key: defaultdict[str, list[Requirement]] = defaultdict(list)
    for requirement in (*one.requirements, *other.requirements):
        by_key[requirement.key].append(requirement)
    return all(_can_hold(key, requirements) for key, requirements in by_key.items())


def _can_hold(key: str, requirements: Sequence[Requirement]) -> bool:
    """Whether one label, or its absence, satisfies all of these."""
    needed = [requirement for requirement in requirements if requirement.operator in _PRESENT]
    if not needed:
        # What is absent satisfies `NotIn` and `DoesNotExist`.
        return True
    if any(requirement.operator is Operator.DOES_NOT_EXIST for requirement in requirements):
        return False
    listed = [set(requirement.values) for requirement in needed if requirement.operator is Operator.IN]
    if listed:
        return any(
            all(requirement.matches({key: value}) for requirement in requirements)
            for value in set.intersection(*listed)
        )
    above = [found for each in needed if each.operator is Operator.GT and (found := version_key(each.values[0]))]
    below = [found for each in needed if each.operator is Operator.LT and (found := version_key(each.values[0]))]
    return not above or not below or max(above) < min(below)
