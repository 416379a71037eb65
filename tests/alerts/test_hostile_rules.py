"""Rules, silences and groups that nobody should make, and what happens to them while the portal is not well."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError

from accounts.models import AuditEntry
from agents.models import Agent
from alerts.errors import InvalidAlerting
from alerts.models import Alert, AlertDelivery, AlertRule, Receiver
from alerts.rule_kinds import KINDS
from alerts.rule_kinds.base import MOST_GROUPS, OTHERS
from alerts.services.delivering import carry_out, run_slice
from alerts.services.evaluating import evaluate_all
from alerts.services.receiver_edits import delete_receiver, update_receiver
from alerts.services.rule_edits import delete_rule, update_rule
from alerts.services.silencing import create_silence
from jobs.models import Job
from tests.alerts.conftest import NOW, Listener, later, states

pytestmark = pytest.mark.django_db
Make = Callable[..., Any]
GONE = {"connected": False, "disconnected_at": NOW}


@pytest.mark.parametrize(
    "values",
    [
        '"dwell_seconds": -1', '"dwell_seconds": 1e308', '"dwell_seconds": NaN', '"dwell_seconds": Infinity',
        '"dwell_seconds": 1' + "0" * 400, '"dwell_seconds": true', '"clear_seconds": 2592001', '"repeat_seconds": 1',
        '"parameters": {"minutes": -1}', '"parameters": {"minutes": 1e308}', '"parameters": {"minutes": NaN}',
        '"parameters": {"minutes": "5"}', '"parameters": {"min_agents": 0}', '"parameters": {"min_agents": 9999999999}',
        '"parameters": []', '"parameters": {"unknown": 1}', '"selector": [[[]]]', '"query": "nonsense:yes"', '"query": "((((("',
        '"group_by": "label"', '"group_by": "label", "group_label": "a\\u0000b"', '"name": "\\u0000"', '"receivers": [0]',
        '"receivers": ["1"]', '"receivers": {}', '"severity": "worse"',
    ],
)  # fmt: skip
def test_absurd_rules_are_refused(signed_in: Any, values: str) -> None:
    body = f'{{"name": "x", "kind": "agents_gone", {values}}}'
    answer = signed_in.post("/api/v1/alert-rules", body, content_type="application/json")
    assert answer.status_code == 400, answer.content
    assert not AlertRule.objects.exists()


def test_a_rule_is_written_in_the_words_of_its_author(signed_in: Any, alice: Any, rule: Make) -> None:
    """As the list of agents takes them: ``status!=error`` would be the whole fleet, and words have rights of their own."""
    asked = {"kind": "agents_gone", "query": "status!=error"}
    for path, body in (("alert-rules", {**asked, "name": "x"}), ("alert-rules/preview", asked)):
        answer = signed_in.post(f"/api/v1/{path}", body, content_type="application/json")
        assert answer.status_code == 400, path
        assert "Did you mean -status:error?" in answer.json()["errors"]["query"][0], answer.json()
    row = rule(query="env=prod")
    alice.is_superuser = False
    with pytest.raises(InvalidAlerting) as refusal:
        update_rule(row.pk, {"query": "package:otelcol"}, by=alice, at=NOW)
    assert list(refusal.value.errors) == ["query"]
    # What somebody else wrote is no matter of who edits the rest.
    AlertRule.objects.update(query="package:otelcol")
    assert update_rule(row.pk, {"dwell_seconds": 7}, by=alice, at=NOW).dwell_seconds == 7


def test_more_than_all(signed_in: Any) -> None:
    body = {"name": "x", "kind": "fleet_dropped", "parameters": {"percent": 101}}
    answer = signed_in.post("/api/v1/alert-rules", body, content_type="application/json")
    assert "parameters.percent" in answer.json()["errors"]


@pytest.mark.parametrize(
    ("until", "status"),
    [
        ("2020-01-01T00:00:00Z", 400), ("9999-12-31T23:59:59-14:00", 400), ("0001-01-01T00:00:00+14:00", 400),
        ("2999-01-01T00:00:00Z", 400), ("soon", 400), ("", 400), (None, 400), (1e308, 400),
    ],
)  # fmt: skip
def test_silences_without_a_sensible_end(signed_in: Any, until: Any, status: int) -> None:
    body = {"note": "works", "expires_at": until}
    answer = signed_in.post("/api/v1/silences", json.dumps(body), content_type="application/json")
    assert answer.status_code == status, answer.content


class TestAtTheSameTime:
    """What somebody else does between the check and the write."""

    def test_a_name_that_is_taken_meanwhile(self, rule: Make, receiver: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        rule(name="one")
        receiver(name="one")
        other, elsewhere = rule(name="two"), receiver(name="two")
        for model in (AlertRule, Receiver):
            monkeypatch.setattr(model, "validate_unique", lambda *_args, **_options: None)
        for act in (
            lambda: rule(name="one"),
            lambda: receiver(name="one"),
            lambda: update_rule(other.pk, {"name": "one"}, by=None, at=NOW),
            lambda: update_receiver(elsewhere.pk, {"name": "one"}, by=None, at=NOW),
        ):
            with pytest.raises(InvalidAlerting) as refused:
                act()
            assert refused.value.errors["name"][0].code == "alerting-name-taken"

    def test_what_is_named_is_deleted_meanwhile(self, rule: Make, receiver: Make) -> None:
        hook, other = receiver(), rule()
        stale = AlertRule.objects.get()
        delete_receiver(hook, by=None)
        hook.pk = 99_999
        with pytest.raises(InvalidAlerting) as refused:
            update_rule(other.pk, {"receivers": [hook]}, by=None, at=NOW)
        assert list(refused.value.errors) == ["receivers"]
        delete_rule(other, by=None, at=NOW)
        with pytest.raises(InvalidAlerting) as refused:
            create_silence({"rule": stale, "note": "n", "expires_at": later(60)}, by=None, at=NOW)
        assert list(refused.value.errors) == ["rule"]

    def test_deleting_twice_is_once(self, rule: Make, receiver: Make) -> None:
        rule()
        receiver()
        for stale in [AlertRule.objects.get() for _ in range(2)]:
            delete_rule(stale, by=None, at=NOW)
        for gone in [Receiver.objects.get() for _ in range(2)]:
            delete_receiver(gone, by=None)
        verbs = AuditEntry.objects.filter(verb__endswith=".delete").order_by("pk").values_list("verb", flat=True)
        assert list(verbs) == ["alert_rule.delete", "receiver.delete"]


def test_a_label_that_tells_all_agents_apart(fleet: Make, rule: Make, receiver: Make) -> None:
    """The largest groups have an alert each, and all others one: nothing is left out, and nobody gets thousands."""
    receiver()
    for number in range(MOST_GROUPS + 10):
        fleet(1, prefix=f"n{number:03}", labels={"host.name": f"n{number:03}"}, **GONE)
    rule(parameters={"minutes": 0}, group_by="label", group_label="host.name")
    evaluate_all(NOW)
    assert AlertDelivery.objects.count() == MOST_GROUPS + 1
    others = Alert.objects.get(group_key=OTHERS)
    assert (others.count, others.total, others.group_words) == (10, 10, OTHERS)
    assert str(others.message).startswith("In 10 more groups: 10 of 10 agents")
    # Others grow: who has an alert keeps it.
    for number in range(MOST_GROUPS, MOST_GROUPS + 10):
        fleet(3, prefix=f"m{number:03}", labels={"host.name": f"n{number:03}"}, **GONE)
    evaluate_all(later(15))
    assert not Alert.objects.filter(state="resolved").exists()
    assert AlertDelivery.objects.count() == MOST_GROUPS + 1
    Agent.objects.update(connected=True)
    evaluate_all(later(30))
    assert not Alert.objects.exclude(state="resolved").exists()


def test_a_database_that_fails_resolves_nothing(
    fleet: Make, rule: Make, receiver: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver()
    row = rule(parameters={"minutes": 0})
    fleet(1, **GONE)
    assert states(NOW) == ["firing"]

    def fail(*_args: Any) -> Any:
        raise OperationalError("canceling statement due to statement timeout")

    monkeypatch.setattr(KINDS["agents_gone"], "agents", fail)
    assert states(later(600)) == ["firing"]
    row.refresh_from_db()
    assert row.problem["code"] == "alert-rule-failed"
    assert row.evaluated_at == NOW
    monkeypatch.undo()
    assert states(later(615)) == ["firing"]
    row.refresh_from_db()
    assert row.problem is None
    assert AlertDelivery.objects.count() == 1


def test_an_edit_while_it_fires(fleet: Make, rule: Make, receiver: Make) -> None:
    """Another severity and other words are told with what comes next; other groups are other alerts, and the old one ends."""
    receiver()
    row = rule(parameters={"minutes": 0}, severity="info")
    fleet(1, labels={"rack": "7"}, **GONE)
    assert states(NOW) == ["firing"]
    update_rule(row.pk, {"severity": "critical", "name": "renamed"}, by=None, at=later(5))
    assert states(later(15)) == ["firing"]
    alert = Alert.objects.get()
    assert (alert.severity, alert.rule_name) == ("critical", "renamed")
    assert AlertDelivery.objects.count() == 1
    update_rule(row.pk, {"group_by": "label", "group_label": "rack"}, by=None, at=later(20))
    assert sorted(states(later(30))) == ["firing", "resolved"]
    assert list(AlertDelivery.objects.order_by("alert_id", "pk").values_list("event", flat=True)) == [
        "firing",
        "resolved",
        "firing",
    ]


def test_a_rule_that_is_deleted_while_its_notice_waits(
    fleet: Make, rule: Make, receiver: Make, listener: Listener
) -> None:
    receiver(address=listener.url)
    row = rule(parameters={"minutes": 0}, name="was here")
    fleet(1, **GONE)
    evaluate_all(NOW)
    delete_rule(row, by=None, at=later(1))
    for delivery in AlertDelivery.objects.order_by("pk"):
        carry_out(delivery.pk, later(2))
    told = [json.loads(body) for _path, _headers, body in listener.received]
    assert [(each["event"], each["alert"]["rule"]) for each in told] == [
        ("firing", "was here"),
        ("resolved", "was here"),
    ]


def test_a_receiver_that_is_deleted_while_its_notice_waits(fleet: Make, rule: Make, receiver: Make) -> None:
    row = receiver()
    rule(parameters={"minutes": 0})
    fleet(1, **GONE)
    evaluate_all(NOW)
    job = Job.objects.get(kind="alerts.deliver")
    delete_receiver(row, by=None)
    assert [result.outcome for result in run_slice(job, None, NOW).results] == ["skipped"]
    Agent.objects.update(connected=True)
    assert states(later(15)) == ["resolved"]
    assert not AlertDelivery.objects.exists()


def test_a_huge_fleet_is_a_small_notice(fleet: Make, rule: Make, receiver: Make) -> None:
    receiver()
    fleet(2_000, prefix="x" * 200, **GONE)
    rule(parameters={"minutes": 0}, description="y" * 2_000)
    evaluate_all(NOW)
    notice = AlertDelivery.objects.get().notice
    assert (notice["count"], len(notice["sample"])) == (2_000, 20)
    assert len(json.dumps(notice)) < 20_000
