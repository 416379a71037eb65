"""Alerts over REST: what each call does, who may, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from rest_framework.test import APIClient

from accounts.models import AuditEntry, User
from accounts.services import OPERATOR, ensure_roles
from alerts.models import Alert, AlertDelivery, AlertRule, Receiver, Silence
from alerts.services.evaluating import evaluate_all
from foundation.clock import clock
from tests.alerts.conftest import NOW, Listener, status

pytestmark = pytest.mark.django_db
Make = Callable[..., Any]
URL = "/api/v1"
UNTIL = "2099-01-01T00:00:00Z"


@pytest.fixture
def api(api_of: Make, alice: User) -> APIClient:
    """The administrator's."""
    client: APIClient = api_of(alice)
    return client


@pytest.fixture
def operator(db: None, api_of: Make) -> APIClient:
    ensure_roles()
    user = User.objects.create_user("olga", is_staff=True)
    user.groups.add(Group.objects.get(name=OPERATOR))
    client: APIClient = api_of(user)
    return client


@pytest.fixture
def alert(fleet: Make, rule: Make, receiver: Make) -> Alert:
    """One that fires, with a delivery."""
    receiver()
    fleet(2, connected=False, disconnected_at=NOW)
    rule(parameters={"minutes": 0})
    evaluate_all(clock.now().replace(year=2031))
    return Alert.objects.get()


def test_a_rule_from_beginning_to_end(api: APIClient, receiver: Make) -> None:
    own = receiver()
    body = {"name": "edge", "kind": "agents_gone", "selector": {"env": "edge"}, "receivers": [own.pk]}
    made = api.post(f"{URL}/alert-rules", body)
    assert made.status_code == 201, made.json()
    shown = made.json()
    assert shown["parameters"] == {"minutes": 10, "min_agents": 1}
    assert (shown["severity"], shown["receivers"], made["ETag"]) == ("warning", [own.pk], '"1"')
    one = f"{URL}/alert-rules/{shown['id']}"
    assert api.get(one).json() == shown
    sent_back = api.patch(one, {name: value for name, value in shown.items() if name != "kind"}, HTTP_IF_MATCH='"1"')
    assert (sent_back.status_code, sent_back["ETag"]) == (200, '"1"')
    changed = api.patch(one, {"parameters": {"minutes": 5}, "receivers": []}, HTTP_IF_MATCH='"1"')
    assert (changed.json()["parameters"]["minutes"], changed["ETag"]) == (5, '"2"')
    assert api.patch(one, {"name": "other"}, HTTP_IF_MATCH='"1"').status_code == 412
    assert api.patch(one, {"name": "other"}, HTTP_IF_MATCH="1").status_code == 412
    assert api.patch(one, {"kind": "expiring"}).status_code == 400
    assert [row["name"] for row in api.get(f"{URL}/alert-rules?kind=agents_gone").json()["results"]] == ["edge"]
    assert api.get(f"{URL}/alert-rules?kind=expiring").json()["results"] == []
    assert api.delete(one).status_code == 204
    assert api.get(one).status_code == 404
    verbs = AuditEntry.objects.filter(verb__startswith="alert_rule.").order_by("pk").values_list("verb", flat=True)
    assert [*verbs] == ["alert_rule.create", "alert_rule.update", "alert_rule.delete"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"kind": "x"}, "kind"),
        ({"parameters": [1]}, "parameters"),
        ({"parameters": {"minutes": "5"}}, "parameters.minutes"),
        ({"dwell_seconds": "5"}, "dwell_seconds"),
        ({"dwell_seconds": -1}, "dwell_seconds"),
        ({"enabled": "yes"}, "enabled"),
        ({"receivers": [999]}, "receivers"),
        ({"receivers": [True]}, "receivers"),
        ({"receivers": [2**70]}, "receivers"),
        ({"receivers": "all"}, "receivers"),
        ({"selector": {"a": 1.5}}, "selector"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_rules_that_are_refused(api: APIClient, body: dict[str, Any], field: str) -> None:
    answer = api.post(f"{URL}/alert-rules", {**({"name": "x", "kind": "agents_gone"} if body else {}), **body})
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert field in answer.json()["errors"]
    assert not AlertRule.objects.exists()


def test_two_rules_of_one_name(api: APIClient, rule: Make) -> None:
    rule(name="edge")
    answer = api.post(f"{URL}/alert-rules", {"name": "edge", "kind": "expiring"})
    assert (answer.status_code, [*answer.json()["errors"]]) == (400, ["name"])


def test_what_a_rule_would_find(api: APIClient, api_of: Make, bob: User, fleet: Make) -> None:
    fleet(25, labels={"env": "a"}, connected=False, disconnected_at=NOW.replace(year=2001))
    fleet(1, labels={"env": "b"}, connected=False, disconnected_at=NOW.replace(year=2001))
    body = {"kind": "agents_gone", "group_by": "label", "group_label": "env"}
    found = api_of(bob).post(f"{URL}/alert-rules/preview", body).json()
    assert found["count"] == 26
    assert [(one["group"], one["count"], len(one["sample"])) for one in found["alerts"]] == [
        ("env=a", 25, 20), ("env=b", 1, 1),
    ]  # fmt: skip
    assert found["alerts"][0]["summary"] == "25 of 25 agents have been gone for 10 minutes or longer."
    assert api.post(f"{URL}/alert-rules/preview", {"kind": "agents_gone", "group_by": "label"}).status_code == 400
    assert not AlertRule.objects.exists()


def test_names_are_shown_to_who_may_see_them(api: APIClient, api_of: Make, bob: User, alice: User) -> None:
    """A viewer sees that API tokens expire, and not which."""
    from accounts.services import issue_token

    issue_token(alice, name="deploy bot", by=None, expires_at=clock.now())
    body = {"kind": "expiring", "parameters": {"api_token_days": 800}}
    from accounts.models import ApiToken

    ApiToken.objects.update(expires_at=clock.now().replace(hour=0) + (NOW - NOW.replace(year=2029)))
    assert api.post(f"{URL}/alert-rules/preview", body).json()["alerts"][0]["sample"][0]["name"] == "deploy bot"
    assert api_of(bob).post(f"{URL}/alert-rules/preview", body).json()["alerts"][0]["sample"] == []


def test_alerts_are_acknowledged_once(operator: APIClient, api_of: Make, bob: User, alert: Alert) -> None:
    (shown,) = operator.get(f"{URL}/alerts?state=firing&acknowledged=false&silenced=false").json()["results"]
    assert shown == operator.get(f"{URL}/alerts/{alert.pk}").json()
    assert (shown["count"], shown["code"], len(shown["sample"])) == (2, "alert-agents-gone", 2)
    one = f"{URL}/alerts/{alert.pk}/acknowledge"
    assert api_of(bob).post(one, {}).status_code == 403
    assert operator.post(one, {"note": "x" * 501}).status_code == 400
    assert operator.post(one, {"who": "me"}).status_code == 400
    answer = operator.post(one, {"note": "mine"}).json()
    assert (answer["acknowledged_by"], answer["acknowledge_note"]) == ("olga", "mine")
    again = operator.post(one)
    assert (again.status_code, again.json()["code"]) == (409, "alert-acknowledged-already")
    assert operator.get(f"{URL}/alerts?acknowledged=false").json()["results"] == []
    assert AuditEntry.objects.filter(verb="alert.acknowledge").count() == 1
    Alert.objects.update(state="resolved")
    assert operator.post(one).json()["code"] == "alert-not-firing"
    assert operator.post(f"{URL}/alerts/999/acknowledge").status_code == 404


def test_silences(operator: APIClient, api_of: Make, bob: User, alert: Alert) -> None:
    until = (clock.now().replace(microsecond=0) + (NOW - NOW.replace(day=1, hour=11))).isoformat()
    body = {"rule": alert.rule_id, "severity": "warning", "note": "maintenance", "expires_at": until}
    assert api_of(bob).post(f"{URL}/silences", body).status_code == 403
    made = operator.post(f"{URL}/silences", body)
    assert made.status_code == 201, made.json()
    assert made.json()["active"] is True
    assert operator.get(f"{URL}/alerts/{alert.pk}").json()["silenced_by"] == made.json()["id"]
    one = f"{URL}/silences/{made.json()['id']}"
    assert operator.get(one).json() == made.json()
    assert operator.post(f"{one}/end").json()["active"] is False
    assert operator.post(f"{one}/end").status_code == 409
    assert operator.get(f"{URL}/silences?active=true").json()["results"] == []
    assert len(operator.get(f"{URL}/silences?active=false").json()["results"]) == 1
    for wrong in ({"expires_at": UNTIL}, {"expires_at": "x"}, {"rule": 999}, {"selector": 5}, {"note": ""}):
        assert operator.post(f"{URL}/silences", {**body, **wrong}).status_code == 400, wrong
    assert Silence.objects.count() == 1


def test_receivers_show_no_secrets(api: APIClient, operator: APIClient, listener: Listener) -> None:
    body = {"name": "hook", "kind": "webhook", "address": f"{listener.url}/very-secret", "secret": "hmac-key-1"}
    assert operator.post(f"{URL}/receivers", body).status_code == 403
    made = api.post(f"{URL}/receivers", body)
    assert made.status_code == 201, made.json()
    one = f"{URL}/receivers/{made.json()['id']}"
    for answer in (made, api.get(one), api.get(f"{URL}/receivers"), operator.get(one)):
        assert answer.status_code in (200, 201)
        assert b"very-secret" not in answer.content
        assert b"hmac-key-1" not in answer.content
    assert made.json()["has_secret"] is True
    tried = api.post(f"{one}/test").json()
    assert tried == {"accepted": True, "status_code": 200, "problem": ""}
    listener.answer = lambda handler: status(handler, 302, Location="http://169.254.169.254/")
    tried = api.post(f"{one}/test").json()
    assert (tried["accepted"], tried["status_code"]) == (False, 302)
    assert operator.post(f"{one}/test").status_code == 403
    assert api.patch(one, {"enabled": False}, HTTP_IF_MATCH='"1"').json()["enabled"] is False
    assert api.patch(one, {"enabled": True}, HTTP_IF_MATCH='"1"').status_code == 412
    assert api.post(f"{URL}/receivers", {**body, "address": "http://169.254.169.254/"}).status_code == 400  # the name
    assert api.delete(one).status_code == 204
    assert not Receiver.objects.exists()


def test_an_inner_address_is_refused_when_it_is_called(api: APIClient) -> None:
    body = {"name": "hook", "kind": "slack", "address": "http://169.254.169.254/latest/meta-data"}
    one = api.post(f"{URL}/receivers", body).json()
    tried = api.post(f"{URL}/receivers/{one['id']}/test").json()
    assert tried["accepted"] is False
    assert "not public (169.254.169.254)" in tried["problem"]


def test_deliveries_are_retried(operator: APIClient, api_of: Make, bob: User, alert: Alert) -> None:
    row = AlertDelivery.objects.get()
    (shown,) = operator.get(f"{URL}/alert-deliveries?state=waiting&alert={alert.pk}&receiver={row.receiver_id}").json()[
        "results"
    ]
    assert (shown["event"], shown["attempts"], shown["problem"]) == ("firing", 0, "")
    one = f"{URL}/alert-deliveries/{row.pk}"
    assert operator.post(f"{one}/retry").status_code == 409
    AlertDelivery.objects.update(state="failed", attempts=8)
    assert api_of(bob).post(f"{one}/retry").status_code == 403
    assert operator.post(f"{one}/retry").json()["state"] == "waiting"
    assert operator.get(f"{URL}/alert-deliveries?receiver=x").status_code == 400
    assert operator.get(f"{URL}/alert-deliveries?receiver={2**70}").status_code == 400
    assert operator.get(f"{URL}/alerts?colour=red").status_code == 400
