"""The one-word status: one rule over the facts, and the same rule as a condition."""

from __future__ import annotations

from collections import Counter
from itertools import product
from uuid import uuid4

import pytest

from agents.admin.facets import groups
from agents.models import Agent
from agents.reports import FACT_NAMES, Facts, Status, derived_status

ALL_FACTS = [
    Facts(*values)
    for values in product([True, False], [True, False, None], [True, False, None], [True, False], [True, False])
]


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        (Facts(connected=False, healthy=False, in_sync=False, config_failed=True), Status.DISCONNECTED),
        (Facts(connected=True, healthy=None, in_sync=None, config_failed=False), Status.CONNECTED),
        (Facts(connected=True, healthy=False, in_sync=True, config_failed=False), Status.ERROR),
        (Facts(connected=True, healthy=True, in_sync=False, config_failed=True), Status.ERROR),
        (Facts(connected=True, healthy=True, in_sync=False, config_failed=False), Status.CONFIGURING),
        # The Collector restarts while it applies what it was offered.
        (
            Facts(connected=True, healthy=False, in_sync=False, config_failed=False, config_applying=True),
            Status.CONFIGURING,
        ),
        (
            Facts(connected=True, healthy=False, in_sync=False, config_failed=True, config_applying=True),
            Status.ERROR,
        ),
    ],
)
def test_the_rule(facts: Facts, status: Status) -> None:
    assert derived_status(facts) is status


@pytest.mark.django_db
def test_condition_counts_and_property_say_the_same_of_all_facts() -> None:
    for facts in ALL_FACTS:
        Agent.objects.create(instance_uid=uuid4(), **dict(zip(FACT_NAMES, facts, strict=True)))
    wanted = Counter(derived_status(facts) for facts in ALL_FACTS)
    found: Counter[Status] = Counter()
    for status in Status:
        agents = list(Agent.objects.with_status(status))
        assert {agent.status for agent in agents} == {status}
        found[status] = len(agents)
    assert found == wanted == Agent.objects.count_by_status()
    facets = Counter({Status(group.values["status"]): 0 for group in groups()})
    for group in groups():
        facets[Status(group.values["status"])] += group.number
    assert facets == wanted
