"""From what rules find to alerts: dwell, flapping, storms, groups, two processes at once, clocks that go back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents.models import Agent
from alerts.events import AlertEvent
from alerts.models import Alert, AlertDelivery, AlertRule
from alerts.rule_kinds import KINDS
from alerts.services import evaluating
from alerts.services.acknowledging import acknowledge
from alerts.services.evaluating import evaluate, evaluate_all
from alerts.services.rule_edits import delete_rule, update_rule
from alerts.services.silencing import Silencer
from foundation.events import subscribe, unsubscribe
from tests.alerts.conftest import NOW, later, states

pytestmark = pytest.mark.django_db
Make = Callable[..., Any]


def leave(agents: list[Agent], seconds: float = 0) -> None:
    Agent.objects.filter(pk__in=[row.pk for row in agents]).update(connected=False, disconnected_at=later(seconds))


def come_back() -> None:
    Agent.objects.update(connected=True)


def test_it_fires_after_its_dwell_and_is_resolved(fleet: Make, rule: Make, receiver: Make) -> None:
    receiver()
    rule(parameters={"minutes": 0}, dwell_seconds=60, clear_seconds=30)
    leave(fleet(3)[:2])
    assert states(NOW) == ["pending"]
    assert states(later(59)) == ["pending"]
    assert not AlertDelivery.objects.exists()
    assert states(later(60)) == ["firing"]
    alert = Alert.objects.get()
    assert (alert.count, alert.total, alert.fired_at) == (2, 3, later(60))
    assert str(alert.message) == "2 of 3 agents have been gone for 0 minutes or longer."
    assert [one["name"] for one in alert.sample] == ["agent-00000", "agent-00001"]
    come_back()
    assert states(later(75)) == ["firing"]
    assert states(later(106)) == ["resolved"]
    assert list(AlertDelivery.objects.order_by("pk").values_list("event", flat=True)) == ["firing", "resolved"]
    assert states(later(200)) == ["resolved"]


def test_what_ends_within_its_dwell_has_told_nobody(fleet: Make, rule: Make, receiver: Make) -> None:
    receiver()
    rule(parameters={"minutes": 0}, dwell_seconds=60)
    leave(fleet(1))
    assert states(NOW) == ["pending"]
    come_back()
    assert states(later(15)) == []
    leave(list(Agent.objects.all()), 20)
    assert states(later(61)) == ["pending"]
    assert not AlertDelivery.objects.exists()


def test_what_comes_and_goes_is_one_alert(fleet: Make, rule: Make, receiver: Make) -> None:
    receiver()
    rule(parameters={"minutes": 0}, clear_seconds=60)
    agents = fleet(1)
    for turn in range(10):
        leave(agents, turn * 30)
        assert states(later(turn * 30)) == ["firing"]
        come_back()
        assert states(later(turn * 30 + 15)) == ["firing"]
    assert AlertDelivery.objects.count() == 1


@pytest.mark.parametrize("grouping", [{}, {"group_by": "label", "group_label": "rack"}])
def test_agents_are_named_as_on_their_pages(fleet: Make, rule: Make, grouping: dict[str, str]) -> None:
    """By host where all have the name of their service; by the name that an operator gave."""
    agents = fleet(2)
    leave(agents)
    Agent.objects.filter(pk=agents[0].pk).update(name="otelcol", hostname="web-1")
    Agent.objects.filter(pk=agents[1].pk).update(name="edge", custom_name="edge", hostname="web-2")
    rule(parameters={"minutes": 0}, **grouping)
    evaluate_all(later(1))
    assert [one["name"] for one in Alert.objects.get().sample] == ["web-1 (otelcol)", "edge (web-2)"]


def test_a_storm_is_one_notice(fleet: Make, rule: Make, receiver: Make) -> None:
    receiver()
    rule("fleet_dropped")
    rule(parameters={"minutes": 0})
    rule(parameters={"minutes": 0}, group_by="label", group_label="rack")
    fleet(10_000, connected=False, disconnected_at=NOW, labels={"rack": "7"})
    with CaptureQueriesContext(connection) as queries:
        evaluate_all(later(1))
    assert Alert.objects.filter(state="firing", count=10_000).count() == 3
    assert AlertDelivery.objects.count() == 3
    assert len(queries) < 70
    assert max(len(alert.sample) for alert in Alert.objects.all()) == 20
    with CaptureQueriesContext(connection) as queries:
        evaluate_all(later(16))
    assert len(queries) < 30
    assert AlertDelivery.objects.count() == 3


@pytest.mark.parametrize("vanished", [False, True])
def test_a_rule_that_is_off_or_gone_ends_its_alerts(fleet: Make, rule: Make, receiver: Make, vanished: bool) -> None:
    receiver()
    row = rule(parameters={"minutes": 0})
    leave(fleet(1))
    evaluate_all(NOW)
    if vanished:
        delete_rule(row, by=None, at=later(5))
    else:
        update_rule(row.pk, {"enabled": False}, by=None, at=later(5))
    assert states() == ["resolved"]
    assert AlertDelivery.objects.filter(event="resolved").count() == 1
    assert Alert.objects.get().rule_name == row.name


def test_alerts_are_found_again_after_a_crash(fleet: Make, rule: Make) -> None:
    """What a process left half way is in the rows: a rule that vanished without its alerts being ended."""
    row = rule(parameters={"minutes": 0}, dwell_seconds=30)
    leave(fleet(1))
    evaluate_all(NOW)
    assert states(later(30)) == ["firing"]
    AlertRule.objects.filter(pk=row.pk).delete()
    assert states(later(45)) == ["resolved"]


def test_two_processes_tell_once(fleet: Make, rule: Make, receiver: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one reads before the first one writes, at each step."""
    receiver()
    row = rule(parameters={"minutes": 0}, repeat_seconds=60)
    leave(fleet(1))
    change, other = Alert.change, []

    def meanwhile(alert: Alert, **values: Any) -> bool:
        if not other:
            other.append(alert)
            evaluate(row, at, Silencer(at))
            other.clear()
        return change(alert, **values)

    monkeypatch.setattr(Alert, "change", meanwhile)
    for seconds, events in ((0, 1), (60, 2), (120, 3)):
        at = later(seconds)
        evaluate_all(at)
        assert AlertDelivery.objects.count() == events
    come_back()
    at = later(130)
    evaluate_all(at)
    assert AlertDelivery.objects.count() == 4
    assert states() == ["resolved"]


def test_two_processes_begin_one_alert(fleet: Make, rule: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    row = rule(parameters={"minutes": 0})
    leave(fleet(1))
    begun = evaluating._begun

    def meanwhile(*args: Any) -> Alert:
        monkeypatch.setattr(evaluating, "_begun", begun)
        evaluate(row, NOW, Silencer(NOW))
        return begun(*args)

    monkeypatch.setattr(evaluating, "_begun", meanwhile)
    evaluate(row, NOW, Silencer(NOW))
    assert states() == ["firing"]


def test_clocks_that_go_back(fleet: Make, rule: Make, receiver: Make) -> None:
    receiver()
    rule(parameters={"minutes": 0}, dwell_seconds=60, clear_seconds=60, repeat_seconds=600)
    leave(fleet(1), -7_300)
    assert states(NOW) == ["pending"]
    assert states(later(-3_600)) == ["pending"]
    assert states(later(-3_540)) == ["firing"]
    Alert.objects.update(notified_at=NOW)
    assert states(later(-3_500)) == ["firing"]
    assert Alert.objects.get().notified_at == later(-3_500)
    come_back()
    assert states(later(-3_400)) == ["firing"]
    assert states(later(-7_200)) == ["firing"]
    assert states(later(-7_140)) == ["resolved"]
    # Agents that left in the future of this clock count when it is past.
    leave(list(Agent.objects.all()), 600)
    assert states(later(-7_100)) == ["resolved"]


def test_it_is_repeated_until_somebody_has_it(fleet: Make, rule: Make, receiver: Make, alice: Any) -> None:
    receiver()
    rule(parameters={"minutes": 0}, repeat_seconds=300)
    leave(fleet(1))
    for seconds in (0, 15, 299, 300, 599, 600):
        evaluate_all(later(seconds))
    assert list(AlertDelivery.objects.order_by("pk").values_list("event", flat=True)) == [
        "firing",
        "repeated",
        "repeated",
    ]
    acknowledge(Alert.objects.get().pk, by=alice, at=later(610))
    evaluate_all(later(1_200))
    assert AlertDelivery.objects.count() == 3
    come_back()
    evaluate_all(later(1_300))
    assert AlertDelivery.objects.filter(event="resolved").count() == 1


def test_groups_by_label_and_configuration(fleet: Make, rule: Make) -> None:
    gone = {"connected": False, "disconnected_at": NOW}
    fleet(3, labels={"env": "prod"}, configuration_name="web", **gone)
    fleet(1, labels={"env": "dev"}, **gone)
    fleet(2, labels={"env": "dev"}, prefix="well")
    fleet(1, **gone)
    by_label = rule(parameters={"minutes": 0}, group_by="label", group_label="env")
    by_configuration = rule(parameters={"minutes": 0}, group_by="configuration")
    evaluate_all(NOW)
    found = {alert.group_key: (alert.count, alert.total, len(alert.sample)) for alert in by_label.alerts.all()}
    assert found == {"env=prod": (3, 3, 3), "env=dev": (1, 3, 1), "env=": (1, 1, 1)}
    assert by_label.alerts.get(group_key="env=prod").labels == {"env": "prod"}
    found = {alert.group_key: (alert.count, alert.total, len(alert.sample)) for alert in by_configuration.alerts.all()}
    assert found == {"configuration=web": (3, 3, 3), "configuration=": (2, 4, 2)}
    Agent.objects.filter(labels__env="dev").update(connected=True)
    evaluate_all(later(15))
    assert by_label.alerts.get(group_key="env=dev").state == "resolved"
    assert by_label.alerts.get(group_key="env=prod").state == "firing"


def test_labels_of_any_length_make_groups(fleet: Make, rule: Make) -> None:
    for end in "ab":
        fleet(1, labels={"0": "x" * 1_000 + end}, connected=False, disconnected_at=NOW)
    rule(parameters={"minutes": 0}, group_by="label", group_label="0")
    assert states(NOW) == ["firing", "firing"]
    assert states(later(15)) == ["firing", "firing"]


def test_a_rule_that_fails_harms_no_other(fleet: Make, rule: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, well = rule("agents_drifted"), rule(parameters={"minutes": 0})
    leave(fleet(1))

    def fail(*_args: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(KINDS["agents_drifted"], "agents", fail)
    evaluate_all(NOW)
    assert well.alerts.get().state == "firing"
    broken.refresh_from_db()
    assert broken.problem["code"] == "alert-rule-failed"
    assert broken.evaluated_at is None
    monkeypatch.undo()
    evaluate_all(later(15))
    broken.refresh_from_db()
    assert broken.problem is None
    assert broken.evaluated_at == later(15)


def test_other_apps_hear_of_it(fleet: Make, rule: Make, django_capture_on_commit_callbacks: Any) -> None:
    heard: list[AlertEvent] = []
    subscribe(AlertEvent, heard.extend)
    try:
        rule(parameters={"minutes": 0}, severity="critical")
        leave(fleet(1))
        with django_capture_on_commit_callbacks(execute=True):
            evaluate_all(NOW)
        come_back()
        with django_capture_on_commit_callbacks(execute=True):
            evaluate_all(later(15))
    finally:
        unsubscribe(AlertEvent, heard.extend)
    assert [(event.state, event.severity) for event in heard] == [("firing", "critical"), ("resolved", "critical")]


def test_what_holds_is_written_once_a_minute(fleet: Make, rule: Make) -> None:
    rule(parameters={"minutes": 0})
    leave(fleet(1))
    evaluate_all(NOW)
    turn = Alert.objects.get().turn
    for seconds in (15, 30, 45):
        evaluate_all(later(seconds))
    assert Alert.objects.get().turn == turn
    evaluate_all(later(60))
    assert Alert.objects.get().last_at == later(60)
    assert NOW + timedelta(minutes=1) == later(60)
