"""Failures as they are kept on an assignment."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from agents.models import Agent
from agents.remote_config import ConfigFile
from agents.reports import RemoteConfigStatuses
from configurations.failures import (
    LONGEST_ERROR,
    MOST_KEPT,
    Failure,
    Failures,
    carried_to,
    failure_of,
    with_failure,
    without_failure,
)
from configurations.models import Assignment
from configurations.services.publishing import Draft, create_configuration


class TestBook:
    @given(st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.integers(1, 30)), max_size=40))
    def test_the_last_one_is_kept_whatever_gives_way(self, booked: list[tuple[str, int]]) -> None:
        failures: Failures = {}
        for key, revision in booked:
            failures = with_failure(failures, key, revision=revision, error=key, named=True)
            assert failure_of(failures, key, revision) == Failure(key, named=True)
        assert len(failures) == min(len({key for key, _ in booked}), MOST_KEPT)

    def test_it_counts_for_the_revisions_there_were_and_for_no_later_one(self) -> None:
        failures = with_failure({}, "b", revision=5, error="no", named=True)
        assert failure_of(failures, "b", 4) == failure_of(failures, "b", 5) == Failure("no", named=True)
        assert failure_of(failures, "b", 6) is failure_of(failures, "b", None) is failure_of(failures, "a", 5) is None
        assert failure_of(carried_to(failures, "b", 7), "b", 7) == Failure("no", named=True)
        assert carried_to(failures, "b", 3) is carried_to(failures, "a", 7) is failures
        assert without_failure(failures, "a") is failures
        assert without_failure(failures, "b") == {}

    def test_a_very_long_error_is_cut_and_says_so(self) -> None:
        kept = with_failure({}, "b", revision=1, error="x" * 1_000_000, named=False)["b"]["error"]
        assert len(kept) == LONGEST_ERROR
        assert kept.endswith("x…")


@pytest.mark.django_db
@pytest.mark.parametrize("named", [True, False])
def test_failures_of_before_are_booked_by_the_migration(report, named: bool) -> None:
    draft = Draft(selector={"env": "prod"}, files={"": ConfigFile(b"a: 1\n", "text/yaml")})
    configuration, _ = create_configuration("prod-config", draft, by=None, at=timezone.now())
    failed, others = report(env="prod"), [report(env="prod"), report(env="dev")]
    wanted = Agent.objects.get(pk=failed.pk).configuration_hash
    Agent.objects.filter(pk=failed.pk).update(
        remote_config_hash=wanted if named else "", remote_config_status=RemoteConfigStatuses.FAILED, config_failed=True
    )
    Assignment.objects.filter(agent=failed).update(status="failed", error_message="no such receiver", failures={})
    migration = import_module("configurations.migrations.0002_failures_and_roll_backs")
    migration.book_known_failures(apps, None)
    kept = Assignment.objects.get(agent=failed).failures
    assert failure_of(kept, wanted, configuration.current_id) == Failure("no such receiver", named=named)
    assert all(Assignment.objects.get(agent=agent).failures == {} for agent in others)
