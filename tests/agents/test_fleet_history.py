"""Counts of the fleet over time: what is counted, how it is thinned out, that rows are bounded, and who reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents.models import Agent, FleetSample
from agents.services.fleet_samples import COUNTS, STEPS, sample_fleet, samples_since, step_for

pytestmark = pytest.mark.django_db
AT = datetime(2026, 5, 4, 10, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def samples(step: int) -> list[FleetSample]:
    return list(FleetSample.objects.filter(step=step).order_by("at"))


def minute(at: datetime, total: int) -> FleetSample:
    return FleetSample(step=60, at=at, **dict.fromkeys(COUNTS, total))


def test_a_sample_counts_those_connected_by_how_they_are(report):
    for name, facts in {
        "well": {"healthy": True, "in_sync": True},
        "ill": {"healthy": False},
        "refuses": {"healthy": True, "in_sync": False, "config_failed": True},
        "silent": {"healthy": None},
        "away": {"healthy": True, "in_sync": True, "config_failed": True, "connected": False},
    }.items():
        Agent.objects.filter(pk=report(name).pk).update(**{"in_sync": None, "config_failed": False, **facts})
    sample_fleet(AT)
    (found,) = samples(60)
    assert found.at == AT.replace(second=0)
    assert {name: getattr(found, name) for name in COUNTS} == {
        "total": 5, "connected": 4, "healthy": 2, "unhealthy": 1, "in_sync": 1, "failed": 1,
    }  # fmt: skip


def test_two_leaders_write_a_slot_once(report):
    sample_fleet(AT)
    report("a")
    sample_fleet(AT + timedelta(seconds=20))
    (found,) = samples(60)
    assert found.total == 0


def test_a_complete_slot_becomes_the_mean_of_its_minutes():
    start = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
    FleetSample.objects.bulk_create([minute(start + n * MINUTE, 10 if n < 15 else 20) for n in range(0, 30, 3)])
    sample_fleet(AT)
    assert [(row.at, row.total) for row in samples(900)] == [
        (start, 10),
        (start + 15 * MINUTE, 20),
    ]
    sample_fleet(AT + MINUTE)
    assert len(samples(900)) == 2, "the slot that has begun is not complete"


def test_what_was_not_sampled_leaves_a_gap():
    start = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)
    FleetSample.objects.bulk_create([minute(start, 4), minute(start + 60 * MINUTE, 8)])
    sample_fleet(AT)
    assert [(row.at.hour, row.total) for row in samples(900)] == [(8, 4), (9, 8)]


def test_rows_are_bounded():
    for step in STEPS:
        old, young = AT - step.kept - MINUTE, AT - step.kept + timedelta(seconds=step.seconds)
        for at in (old, young):
            FleetSample.objects.create(step=step.seconds, at=at, **dict.fromkeys(COUNTS, 1))
    sample_fleet(AT)
    for step in STEPS:
        assert all(row.at >= AT - step.kept for row in samples(step.seconds)), step
        assert samples(step.seconds), step
    assert sum(step.kept.total_seconds() / step.seconds for step in STEPS) < 6_000


def test_a_run_costs_few_statements_once_it_has_caught_up(report):
    report("a")
    sample_fleet(AT)
    with CaptureQueriesContext(connection) as queries:
        sample_fleet(AT + MINUTE)
    assert len(queries) <= 12


@pytest.mark.parametrize(
    ("span", "seconds"),
    [
        (timedelta(hours=1), 60),
        (timedelta(days=1), 60),
        (timedelta(days=2), 900),
        (timedelta(days=30), 900),
        (timedelta(days=400), 21_600),
    ],
)
def test_the_further_back_the_coarser(span, seconds):
    # A chart asks after the page was made: for a day and a little more.
    for later in (timedelta(0), timedelta(seconds=3)):
        assert step_for(span + later).seconds == seconds
        assert samples_since(AT - span, AT + later)[0] == seconds


class TestRest:
    URL = "/api/v1/agents/summary/history"

    def test_the_last_day_is_what_is_told_without_a_time(self, signed_in, report):
        report("a")
        sample_fleet(datetime.now(UTC) - MINUTE)
        answer = signed_in.get(self.URL).json()
        assert answer["resolution"] == 60
        (point,) = answer["points"]
        assert point["total"] == 1
        assert set(point) == {"at", *COUNTS}

    def test_longer_ago_is_coarser(self, signed_in):
        since = (datetime.now(UTC) - timedelta(days=20)).isoformat()
        assert signed_in.get(self.URL, {"since": since}).json() == {"resolution": 900, "points": []}
        assert signed_in.get(self.URL, {"since": "0001-01-01T00:00:00Z"}).json()["resolution"] == 21_600

    @pytest.mark.parametrize("query", [{"since": "yesterday"}, {"since": "2999-01-01T00:00:00Z"}, {"until": "x"}])
    def test_what_cannot_be_meant_is_said(self, signed_in, query):
        answer = signed_in.get(self.URL, query)
        assert answer.status_code == 400
        assert list(answer.json()["errors"]) == list(query)

    def test_who_may_not_see_agents_does_not_learn_how_many_there_are(self, client, charlie):
        client.force_login(charlie)
        assert client.get(self.URL).status_code == 403
