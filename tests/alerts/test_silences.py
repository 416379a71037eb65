"""Silences: what they match, that it is shown and not sent, and that it is sent when they end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from accounts.models import AuditEntry
from agents.models import Agent
from alerts.errors import InvalidAlerting, NotNow
from alerts.models import Alert, AlertDelivery, Silence
from alerts.services.evaluating import evaluate_all
from alerts.services.silencing import create_silence, end_silence
from tests.alerts.conftest import NOW, later, states

pytestmark = pytest.mark.django_db
Make = Callable[..., Any]
GONE = {"connected": False, "disconnected_at": NOW}


def silence(at: float = 0, *, lasts: float = 3_600, **values: Any) -> Silence:
    values = {"note": "maintenance", "expires_at": later(at + lasts), **values}
    return create_silence(values, by=None, at=later(at))


def silenced() -> list[bool]:
    return [alert.silence_id is not None for alert in Alert.objects.order_by("pk")]


def test_it_is_shown_and_sent_when_the_silence_expires(fleet: Make, rule: Make, receiver: Make) -> None:
    receiver()
    silence(lasts=60)
    rule(parameters={"minutes": 0})
    fleet(1, **GONE)
    assert states(later(1)) == ["firing"]
    assert silenced() == [True]
    assert states(later(59)) == ["firing"]
    assert not AlertDelivery.objects.exists()
    evaluate_all(later(60))
    assert silenced() == [False]
    assert list(AlertDelivery.objects.values_list("event", flat=True)) == ["firing"]


def test_what_nobody_was_told_of_is_resolved_silently(fleet: Make, rule: Make, receiver: Make) -> None:
    receiver()
    silence()
    rule(parameters={"minutes": 0})
    fleet(1, **GONE)
    evaluate_all(later(1))
    Agent.objects.update(connected=True)
    assert states(later(15)) == ["resolved"]
    assert not AlertDelivery.objects.exists()


def test_who_was_told_hears_of_the_end_although_it_was_silenced(fleet: Make, rule: Make, receiver: Make) -> None:
    receiver()
    rule(parameters={"minutes": 0})
    fleet(1, **GONE)
    evaluate_all(NOW)
    silence(5)
    assert silenced() == [True]
    Agent.objects.update(connected=True)
    assert states(later(15)) == ["resolved"]
    assert list(AlertDelivery.objects.order_by("pk").values_list("event", flat=True)) == ["firing", "resolved"]


def test_it_ends_when_somebody_ends_it(fleet: Make, rule: Make, receiver: Make, alice: Any) -> None:
    receiver()
    row = silence()
    rule(parameters={"minutes": 0})
    fleet(1, **GONE)
    evaluate_all(later(1))
    end_silence(row.pk, by=alice, at=later(5))
    assert silenced() == [False]
    evaluate_all(later(15))
    assert AlertDelivery.objects.count() == 1
    with pytest.raises(NotNow):
        end_silence(row.pk, by=alice, at=later(20))
    assert AuditEntry.objects.filter(verb="silence.end", actor=alice).count() == 1


def test_by_rule_and_severity(fleet: Make, rule: Make) -> None:
    fleet(1, **GONE)
    one, other = rule(parameters={"minutes": 0}), rule(parameters={"minutes": 0}, severity="critical")
    evaluate_all(NOW)
    first = silence(rule=one)
    assert silenced() == [True, False]
    end_silence(first.pk, by=None, at=later(1))
    silence(1, severity="critical")
    assert silenced() == [False, True]
    silence(2, rule=other, severity="warning")
    assert silenced() == [False, True]


def test_by_labels_of_the_alert(fleet: Make, rule: Make) -> None:
    fleet(1, labels={"env": "prod"}, **GONE)
    fleet(1, labels={"env": "dev"}, **GONE)
    rule(parameters={"minutes": 0}, group_by="label", group_label="env")
    rule(parameters={"minutes": 0}, selector={"env": "dev"})
    rule(parameters={"minutes": 0})
    evaluate_all(NOW)
    silence(selector={"env": "dev"})
    found = {(alert.group_key, alert.count): alert.silence_id is not None for alert in Alert.objects.all()}
    assert found == {("env=prod", 1): False, ("env=dev", 1): True, ("", 1): True, ("", 2): False}


def test_an_alert_all_of_whose_agents_match(fleet: Make, rule: Make) -> None:
    """Maintenance of a rack silences what only that rack is to blame for."""
    fleet(3, labels={"rack": "7"}, **GONE)
    rule(parameters={"minutes": 0})
    silence(selector={"rack": "7"})
    evaluate_all(later(1))
    assert silenced() == [True]
    fleet(1, labels={"rack": "8"}, **GONE)
    evaluate_all(later(15))
    assert silenced() == [False]
    # Rules that are not about agents have no agents that could match.
    rule("configuration_unmatched")
    evaluate_all(later(30))


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"note": " "}, "note"),
        ({"note": "x" * 501}, "note"),
        ({"note": "two\nlines"}, "note"),
        ({"severity": "worse"}, "severity"),
        ({"selector": {"a": []}}, "selector"),
        ({"expires_at": later(-1)}, "expires_at"),
        ({"expires_at": NOW + timedelta(days=400)}, "expires_at"),
    ],
)
def test_silences_that_are_none(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidAlerting) as refused:
        silence(**values)
    assert [*refused.value.errors] == [field]
    assert not Silence.objects.exists()
