"""What each kind of rule finds, and what it does not."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from accounts.models import ApiToken
from agents.models import Agent, AgentEvent
from alerts.alert_options import RULE_KINDS
from alerts.errors import InvalidAlerting
from alerts.models import Alert, AlertRule
from alerts.parameters import reaches, read_parameters
from alerts.rule_kinds import KINDS
from alerts.rule_kinds.base import MOST_GROUPS, OTHERS
from alerts.services.evaluating import evaluate_all
from alerts.services.rule_edits import create_rule, preview_rule
from certificates.models import AgentCertificate
from configurations.models import Configuration
from enrolment.models import EnrolmentToken
from rollouts.models import Rollout, RolloutStep
from tests.alerts.conftest import NOW, later

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("count", "total", "least", "percent", "reached"),
    [
        (0, 0, 1, 1, False),
        (0, 10, 1, 1, False),
        (1, 0, 0, 50, False),
        (1, 10, 1, 0, True),
        (1, 10, 2, 0, False),
        (1, 10, 2, 10, True),
        (1, 3, 0, 34, False),
        (1, 3, 0, 33, True),
        (999, 1_000, 0, 100, False),
        (1_000, 1_000, 0, 100, True),
        (5, 10, 0, 0, False),
    ],
)
def test_percent_and_numbers(count: int, total: int, least: int, percent: int, reached: bool) -> None:
    assert reaches(count, total, least=least, percent=percent) is reached


@pytest.mark.parametrize(
    "given", [[], "x", None, {"minutes": "5"}, {"minutes": True}, {"minutes": -1}, {"minutes": 10**9}]
)
def test_parameters_that_are_none(given: Any) -> None:
    assert read_parameters(KINDS["agents_gone"].parameters, given)[1]


def test_names_of_kinds_stand_twice() -> None:
    assert tuple(KINDS) == RULE_KINDS
    assert all(name == kind.name for name, kind in KINDS.items())


def test_unknown_parameters_are_named() -> None:
    values, problems = read_parameters(KINDS["agents_gone"].parameters, {"minuets": 5})
    assert [*problems] == ["parameters.minuets"]
    assert values == {"minutes": 10, "min_agents": 1}


@pytest.mark.django_db
class TestAgents:
    def test_gone_for_so_long(self, fleet: Make, rule: Make) -> None:
        fleet(2, connected=False, disconnected_at=later(-599))
        fleet(3, connected=False, disconnected_at=later(-600), prefix="gone")
        fleet(1, connected=False, disconnected_at=later(-600), approval="rejected")
        (found,) = preview_rule(rule(), NOW)
        assert (found.count, found.total) == (3, 5)
        assert not preview_rule(rule(parameters={"min_agents": 4}), NOW)

    def test_only_agents_of_the_selector(self, fleet: Make, rule: Make) -> None:
        fleet(2, connected=False, disconnected_at=NOW, labels={"env": "prod"})
        fleet(2, connected=False, disconnected_at=NOW, labels={"env": "dev"})
        (found,) = preview_rule(rule(parameters={"minutes": 0}, selector={"env": "prod"}), NOW)
        assert (found.count, found.total, found.labels) == (2, 2, {"env": "prod"})

    def test_only_agents_that_a_query_asks_for(self, fleet: Make, rule: Make) -> None:
        fleet(2, connected=False, disconnected_at=NOW, version="1.0.0")
        fleet(3, connected=False, disconnected_at=NOW, version="2.0.0")
        (found,) = preview_rule(rule(parameters={"minutes": 0}, query="version>=2"), NOW)
        assert (found.count, found.total) == (3, 3)

    def test_unhealthy_for_so_long(self, fleet: Make, rule: Make) -> None:
        long, short, flapping, new, other_error = fleet(5, healthy=False)
        Agent.objects.filter(pk=new.pk).update(first_seen_at=later(-10))

        def line(
            agent: Agent, seconds: float, *, healthy: bool, before: bool | None, last: float | None = None
        ) -> None:
            AgentEvent.objects.create(
                agent=agent, kind="health", at=later(seconds), data={"healthy": healthy, "before": before},
                last_at=None if last is None else later(last),
            )  # fmt: skip

        line(long, -400, healthy=False, before=True)
        line(short, -100, healthy=False, before=True)
        line(flapping, -900, healthy=True, before=False, last=-200)
        line(flapping, -800, healthy=False, before=True, last=-190)
        line(other_error, -900, healthy=False, before=None)
        line(other_error, -10, healthy=False, before=False)
        (found,) = preview_rule(rule("agents_unhealthy"), NOW)
        assert [one.key for one in found.sample] == [long.pk, other_error.pk]
        (found,) = preview_rule(rule("agents_unhealthy", parameters={"minutes": 0}), NOW)
        assert found.count == 5
        Agent.objects.update(connected=False)
        assert not preview_rule(rule("agents_unhealthy", parameters={"minutes": 0}), NOW)

    def test_reports_make_the_lines_it_reads(self, report: Make, rule: Make) -> None:
        """Against the real pipeline: an agent that has just fallen ill counts when the minutes have passed."""
        agent = report(healthy=False)
        row = rule("agents_unhealthy", parameters={"minutes": 5})
        assert not preview_rule(row, agent.first_seen_at)
        assert preview_rule(row, agent.first_seen_at + timedelta(minutes=6))[0].count == 1

    def test_configurations_that_fail(self, fleet: Make, rule: Make) -> None:
        assert not preview_rule(rule("configuration_failed", parameters={"percent": 1}), NOW)
        fleet(3, config_failed=True, configuration_name="a")
        fleet(97, configuration_name="b")
        assert preview_rule(rule("configuration_failed"), NOW)[0].count == 3
        assert not preview_rule(rule("configuration_failed", parameters={"min_agents": 0, "percent": 4}), NOW)
        assert preview_rule(rule("configuration_failed", parameters={"min_agents": 0, "percent": 3}), NOW)
        grouped = {"parameters": {"min_agents": 0, "percent": 100}, "group_by": "configuration"}
        (found,) = preview_rule(rule("configuration_failed", **grouped), NOW)
        assert (found.key, found.count, found.total) == ("configuration=a", 3, 3)

    def test_drift(self, fleet: Make, rule: Make) -> None:
        fleet(1, config_drifted=True)
        fleet(1, config_drifted=True, connected=False, disconnected_at=NOW)
        assert preview_rule(rule("agents_drifted"), NOW)[0].count == 1

    def test_a_part_of_the_fleet_that_left(self, fleet: Make, rule: Make) -> None:
        row = rule("fleet_dropped")
        assert not preview_rule(row, NOW)
        fleet(80)
        fleet(19, connected=False, disconnected_at=later(-10))
        fleet(500, connected=False, disconnected_at=later(-301))
        assert not preview_rule(row, NOW)
        fleet(1, connected=False, disconnected_at=later(-299))
        (found,) = preview_rule(row, NOW)
        assert (found.count, found.total) == (20, 100)
        # Everybody left, and it is a small fleet.
        Agent.objects.all().delete()
        fleet(4, connected=False, disconnected_at=NOW)
        assert not preview_rule(row, NOW)


@pytest.mark.django_db
class TestOthers:
    def rollout(self, state: str, *kinds: str, subject_id: int = 1, **values: Any) -> Rollout:
        row = Rollout.objects.create(
            subject="configuration", subject_id=subject_id, version_id=1, name="web", version_number=3, policy={},
            stages=[], state=state, started_at=later(-9_000), **values,
        )  # fmt: skip
        for place, kind in enumerate(kinds):
            RolloutStep.objects.create(rollout=row, at=later(-4_000 + place), kind=kind, stage=0, by_name="system")
        return row

    def test_rollouts(self, rule: Make) -> None:
        row = rule("rollout_stopped")
        self.rollout("running", "started")
        assert not preview_rule(row, NOW)
        self.rollout("paused", "started", "paused", subject_id=2)
        (found,) = preview_rule(row, NOW)
        assert str(found.text) == "Rollout web r3 is paused."
        assert not preview_rule(row, later(-3_000))
        self.rollout("paused", "started", "gate_failed", "paused", subject_id=3)
        (found,) = preview_rule(row, later(-3_000))
        assert str(found.text) == "The gate of rollout web r3 failed."
        self.rollout("rolled_back", "gate_failed", "rolled_back", subject_id=4, ended_at=later(-3_600))
        assert len(preview_rule(row, NOW)) == 3
        assert len(preview_rule(row, later(24 * 3_600))) == 2
        self.rollout("running", "started", subject_id=4)
        assert len(preview_rule(row, NOW)) == 2

    def test_a_gate_that_failed_before_somebody_went_on(self, rule: Make) -> None:
        self.rollout("paused", "gate_failed", "paused", "resumed", "paused")
        assert str(preview_rule(rule("rollout_stopped"), NOW)[0].text) == "Rollout web r3 is paused."

    def test_more_rollouts_than_have_room(self, rule: Make) -> None:
        """None is over because newer ones stopped too: those that have an alert keep it, all others have one together."""
        row = rule("rollout_stopped")
        first = [self.rollout("paused", "gate_failed", "paused", subject_id=place) for place in range(MOST_GROUPS)]
        evaluate_all(NOW)
        assert Alert.objects.firing().count() == MOST_GROUPS
        for place in range(3):
            self.rollout("paused", "gate_failed", "paused", subject_id=MOST_GROUPS + place)
        *kept, others = preview_rule(row, NOW)
        assert {subject.sample[0].key for subject in kept} == {each.pk for each in first}
        assert (others.key, others.count, len(others.sample)) == (OTHERS, 3, 3)
        assert str(others.text) == "3 more rollouts stopped: web r3, web r3, web r3"
        evaluate_all(later(15))
        assert Alert.objects.firing().count() == MOST_GROUPS + 1
        assert not Alert.objects.filter(state="resolved").exists()

    def test_what_expires(self, rule: Make, fleet: Make, alice: Any) -> None:
        row = rule("expiring")
        assert not preview_rule(row, NOW)
        agent, renewed = fleet(2)
        issued = {
            "state": "issued",
            "csr": "",
            "key_sha256": "",
            "key_type": "",
            "requested_at": NOW,
            "changed_at": NOW,
        }
        for each, days in ((agent, 5), (renewed, 5), (renewed, 90), (agent, -1)):
            AgentCertificate.objects.create(
                agent=each, instance_uid=each.instance_uid, not_after=NOW + timedelta(days=days), open=False, **issued
            )
        made = {"created_by_name": "", "created_at": NOW}
        for days, revoked in ((2, None), (2, NOW), (4, None), (-1, None)):
            EnrolmentToken.objects.create(
                name=f"edge {uuid.uuid4()}", number=uuid.uuid4().hex[:10], digest="", expires_at=NOW + timedelta(days=days),
                revoked_at=revoked, **made,
            )  # fmt: skip
        ApiToken.objects.create(name="ci", user=alice, prefix="a", digest="", expires_at=NOW + timedelta(days=6))
        ApiToken.objects.create(name="old", user=alice, prefix="b", digest="", expires_at=NOW + timedelta(days=60))
        found = {subject.key: subject for subject in preview_rule(row, NOW)}
        assert {key: subject.count for key, subject in found.items()} == {
            "what=certificate": 1,
            "what=enrolment_token": 1,
            "what=api_token": 1,
        }
        assert [one.name for one in found["what=api_token"].sample] == ["ci"]
        off = dict.fromkeys(("certificate_days", "enrolment_token_days", "api_token_days"), 0)
        assert not preview_rule(rule("expiring", parameters=off), NOW)

    def test_configurations_without_agents(self, rule: Make) -> None:
        row = rule("configuration_unmatched")
        assert not preview_rule(row, NOW)
        Configuration.objects.create(name="lonely", enabled=True)
        Configuration.objects.create(name="off", enabled=False)
        (found,) = preview_rule(row, NOW)
        assert str(found.text) == "Enabled configurations without agents: lonely"
        Configuration.objects.bulk_create(Configuration(name=f"more-{number}", enabled=True) for number in range(5))
        (found,) = preview_rule(row, NOW)
        assert str(found.text) == "Enabled configurations without agents: lonely, more-0, more-1, more-2, more-3, …"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"kind": "unknown"}, "kind"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "two\r\nlines"}, "name"),
        ({"name": "a\tb"}, "name"),
        ({"name": "a\u2028b"}, "name"),
        ({"name": "\u202egnp.exe"}, "name"),
        ({"name": "\u200b"}, "name"),
        ({"parameters": {"minutes": 1.5}}, "parameters.minutes"),
        ({"selector": {"a": None}}, "selector"),
        ({"selector": [1]}, "selector"),
        ({"query": "version=("}, "query"),
        ({"query": "x" * 5_000}, "query"),
        ({"kind": "expiring", "query": "version=1"}, "query"),
        ({"severity": "worse"}, "severity"),
        ({"dwell_seconds": 10**9}, "dwell_seconds"),
        ({"repeat_seconds": 5}, "repeat_seconds"),
        ({"group_by": "label"}, "group_label"),
        ({"group_by": "label", "group_label": "x" * 300}, "group_label"),
        ({"group_by": "planet"}, "group_by"),
        ({"kind": "expiring", "selector": {"a": "b"}}, "selector"),
        ({"kind": "expiring", "group_by": "configuration"}, "group_by"),
        ({"kind": "configuration_failed", "parameters": {"min_agents": 0}}, "parameters.min_agents"),
    ],
)
def test_rules_that_are_none(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidAlerting) as refused:
        create_rule({"name": "x", "kind": "agents_gone", **values}, by=None, at=NOW)
    assert field in refused.value.errors
    assert not AlertRule.objects.exists()
