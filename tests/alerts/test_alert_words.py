"""The agents of an alert as a query, and the panel that leads to them."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from agents.models import Agent
from agents.queries import InvalidQuery
from agents.query_conditions import agents_matching
from agents.query_words import query_words
from alerts.errors import InvalidAlerting
from alerts.models import Alert, AlertRule
from alerts.services.evaluating import evaluate_all
from alerts.services.rule_edits import update_rule
from foundation.clock import clock
from tests.alerts.conftest import NOW, states
from tests.opamp_platform.test_overview import panel, shown

pytestmark = pytest.mark.django_db
Make = Callable[..., Any]


def found(text: str) -> set[str]:
    return set(agents_matching(text, None, at=NOW).values_list("name", flat=True))


def test_exactly_the_agents_of_the_alert(fleet: Make, rule: Make) -> None:
    gone = {"connected": False, "disconnected_at": NOW}
    fleet(2, prefix="prod", labels={"env": "prod"}, **gone)
    fleet(1, prefix="long", labels={"env": "x" * 1_000}, **gone)
    fleet(1, prefix="none", **gone)
    fleet(1, prefix="well", labels={"env": "prod"})
    rule(parameters={"minutes": 0})
    rule(parameters={"minutes": 0}, group_by="label", group_label="env")
    rule("configuration_unmatched")
    evaluate_all(NOW)
    for alert in Alert.objects.all():
        assert len(found(f"alert:{alert.pk}")) == alert.count, alert
    by_env = Alert.objects.get(group_key="env=prod")
    assert found(f"alert:{by_env.pk}") == {"prod-00000", "prod-00001"}
    assert found(f"-alert:{by_env.pk}") == {"long-00000", "none-00000", "well-00000"}
    assert (str(by_env.pk), 2) in query_words()["alert"].suggestions("")
    Alert.objects.filter(pk=by_env.pk).update(state="resolved")
    assert found(f"alert:{by_env.pk}") == set()


@pytest.mark.parametrize(
    "text", ["alert:x", "alert:99999", "alert:*", "alert:1*", "alert:" + "9" * 40, "alert<3", "alert:-1"]
)
def test_what_is_no_alert(text: str) -> None:
    with pytest.raises(InvalidQuery):
        found(text)


def test_a_rule_cannot_ask_for_alerts(fleet: Make, rule: Make) -> None:
    """It would ask for itself without an end."""
    fleet(1, connected=False, disconnected_at=NOW)
    row = rule(parameters={"minutes": 0})
    evaluate_all(NOW)
    query = f"alert:{Alert.objects.get().pk}"
    with pytest.raises(InvalidAlerting):
        update_rule(row.pk, {"query": query}, by=None, at=NOW)
    AlertRule.objects.update(query=query)
    with pytest.raises(InvalidQuery):
        found(query)
    assert states(NOW) == ["firing"]
    row.refresh_from_db()
    assert row.problem["code"] == "alert-rule-not-understood"


def test_a_query_that_means_nothing_any_more_is_told_and_ends_nothing(
    fleet: Make, rule: Make, receiver: Make, signed_in: Any
) -> None:
    receiver()
    fleet(1, connected=False, disconnected_at=NOW)
    row = rule(parameters={"minutes": 0}, query="connected:no")
    assert states(NOW) == ["firing"]
    AlertRule.objects.update(query="word_of_an_app_that_is_gone:yes")
    assert states(clock.now()) == ["firing"]
    row.refresh_from_db()
    assert row.problem["code"] == "alert-rule-not-understood"
    said = "It cannot be evaluated: At character 1"
    assert said in signed_in.get("/admin/alerts/alertrule/").content.decode()
    assert said in signed_in.get(f"/admin/alerts/alertrule/{row.pk}/change/").content.decode()
    assert "Rules that cannot be evaluated, so that nobody would be told: 1" in panel(shown(signed_in), "alerts")
    AlertRule.objects.update(query="env=renamed")
    page = signed_in.get(f"/admin/alerts/alertrule/{row.pk}/change/").content.decode()
    assert "It watches no agents now" in page


def test_the_overview_shows_what_fires_the_worst_first(fleet: Make, rule: Make, signed_in: Any) -> None:
    now = clock.now()
    fleet(3, connected=False, disconnected_at=now - timedelta(minutes=5))
    for severity in ("info", "critical", "warning"):
        rule(name=f"is {severity}", severity=severity, parameters={"minutes": 0})
    evaluate_all(now)
    body = panel(shown(signed_in), "alerts")
    assert re.findall("is (critical|warning|info)", body) == ["critical", "warning", "info"]
    url = re.search(r'<a href="([^"]*)">\s*3 agents', body)
    assert url
    listed = signed_in.get(html.unescape(url[1])).content.decode()
    assert len(re.findall('class="action-select"', listed)) == 3
    Agent.objects.update(connected=True)
    evaluate_all(now)
    assert "overview-alerts" not in shown(signed_in)


def test_a_rule_that_nobody_evaluates_says_so(rule: Make, signed_in: Any) -> None:
    rule()
    AlertRule.objects.update(evaluated_at=NOW.replace(year=2020))
    assert "not evaluated since" in signed_in.get("/admin/alerts/alertrule/").content.decode()
