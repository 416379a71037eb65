"""Alerts in the admin, without JavaScript: rules from a kind, what would fire, acknowledging, silencing, the bell."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEntry, User
from accounts.services import OPERATOR, ensure_roles
from agents.models import Agent
from alerts.bell import bell
from alerts.models import Alert, AlertDelivery, AlertRule, Receiver, Silence
from alerts.rule_kinds import KINDS
from alerts.services.evaluating import evaluate_all
from foundation.clock import clock
from tests.alerts.conftest import NOW, Listener, status

pytestmark = pytest.mark.django_db
Make = Callable[..., Any]
RULES, ALERTS, RECEIVERS = "/admin/alerts/alertrule/", "/admin/alerts/alert/", "/admin/alerts/receiver/"
LONG_AGO = NOW.replace(year=2001)
PROBLEM = {"code": "receiver-timeout", "template": "T", "parameters": {}}


def body(client: Client, path: str, **more: Any) -> str:
    answer = client.get(path, **more)
    assert answer.status_code == 200
    return str(answer.content.decode())


def typed(**values: Any) -> dict[str, Any]:
    return {
        "name": "Edge is gone", "description": "", "severity": "critical", "enabled": "on", "selector": "env=edge",
        "group_by": "rule", "group_label": "", "dwell_seconds": "0", "clear_seconds": "0", "repeat_seconds": "0",
        "parameter_minutes": "5", "parameter_min_agents": "1", **values,
    }  # fmt: skip


@pytest.fixture
def alert(fleet: Make, rule: Make, receiver: Make) -> Alert:
    """One that fires, with a delivery."""
    receiver()
    fleet(25, connected=False, disconnected_at=LONG_AGO)
    rule(parameters={"minutes": 0}, name="Edge is gone")
    evaluate_all(clock.now())
    bell.forget()
    return Alert.objects.get()


@pytest.fixture
def operator(client: Client) -> Client:
    ensure_roles()
    user = User.objects.create_user("olga", is_staff=True)
    user.groups.add(Group.objects.get(name=OPERATOR))
    client.force_login(user)
    return client


def test_a_set_to_start_with(signed_in: Client) -> None:
    page = body(signed_in, RULES)
    assert "Start with these rules" in page
    signed_in.post(f"{RULES}start/")
    assert {*AlertRule.objects.values_list("kind", flat=True)} == {*KINDS}
    assert "Start with these rules" not in body(signed_in, RULES)
    signed_in.post(f"{RULES}start/")
    assert AlertRule.objects.count() == len(KINDS)
    evaluate_all(NOW)
    assert not Alert.objects.exists()


def test_a_rule_of_a_kind_with_what_would_fire(signed_in: Client, fleet: Make) -> None:
    fleet(25, labels={"env": "edge"}, connected=False, disconnected_at=LONG_AGO)
    choice = body(signed_in, f"{RULES}add/")
    add = reverse("admin:alert_rule_add", args=["agents_gone"])
    assert f'href="{add}"' in choice
    form = body(signed_in, add)
    assert 'name="parameter_minutes"' in form
    looked = signed_in.post(add, typed(_preview="1")).content.decode()
    assert "It would fire now, for 25." in looked
    assert "agent-00000" in looked
    assert "and 5 more" in looked
    assert "Please correct" not in looked
    assert not AlertRule.objects.exists()
    assert "Nothing would fire now." in signed_in.post(add, typed(_preview="1", selector="env=x")).content.decode()
    saved = signed_in.post(add, typed())
    assert saved.status_code == 302
    rule = AlertRule.objects.get()
    assert (rule.parameters, rule.selector) == ({"minutes": 5, "min_agents": 1}, {"matchLabels": {"env": "edge"}}) or (
        rule.selector == {"env": "edge"}
    )
    page = f"{RULES}{rule.pk}/change/"
    form = body(signed_in, page)
    assert 'value="env=edge"' in form
    assert signed_in.post(page, typed(parameter_minutes="7", based_on="1")).status_code == 302
    rule.refresh_from_db()
    assert (rule.parameters["minutes"], rule.edition) == (7, 2)
    late = signed_in.post(page, typed(parameter_minutes="9", based_on="1")).content.decode()
    assert "Somebody else has changed it" in late
    wrong = signed_in.post(page, typed(parameter_minutes="x", selector="=", based_on="2")).content.decode()
    assert wrong.count("errorlist") >= 2
    assert signed_in.post(f"{RULES}{rule.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not AlertRule.objects.exists()
    assert AuditEntry.objects.filter(verb__startswith="alert_rule.").count() == 3


@pytest.mark.parametrize("kind", [*KINDS])
def test_the_form_of_each_kind(signed_in: Client, kind: str) -> None:
    add = reverse("admin:alert_rule_add", args=[kind])
    form = body(signed_in, add)
    names = re.findall(r'name="(parameter_\w+)"[^>]*value="(\d+)"|value="(\d+)"[^>]*name="(parameter_\w+)"', form)
    values = {(one or other): (first or second) for one, first, second, other in names}
    assert len(values) == len(KINDS[kind].parameters)
    sent = {
        "name": "x",
        "severity": "info",
        "dwell_seconds": "0",
        "clear_seconds": "0",
        "repeat_seconds": "0",
        **values,
    }
    if KINDS[kind].of_agents:
        sent |= {"selector": "", "group_by": "rule", "group_label": ""}
    assert signed_in.post(add, sent).status_code == 302
    page = body(signed_in, f"{RULES}{AlertRule.objects.get().pk}/change/")
    assert str(KINDS[kind].title) in page


def test_a_kind_that_is_none(signed_in: Client) -> None:
    assert signed_in.get(f"{RULES}add/x/").status_code == 404
    assert signed_in.get(f"{RECEIVERS}add/x/").status_code == 404


def test_the_bell(signed_in: Client, alert: Alert, operator: Client, django_assert_num_queries: Any) -> None:
    assert "1 alert" in body(operator, "/admin/")
    with django_assert_num_queries(0):
        assert bell.count() == 1
    operator.post(reverse("admin:alert_acknowledge", args=[alert.pk]), {"note": "mine"})
    assert "No alerts" in body(operator, "/admin/")


def test_nobody_without_the_right_sees_the_bell(client: Client, charlie: User, alert: Alert) -> None:
    client.force_login(charlie)
    assert "alert-bell" not in body(client, "/admin/")


def test_an_alert_is_looked_at_acknowledged_and_silenced(operator: Client, alert: Alert) -> None:
    listed = body(operator, ALERTS)
    assert "25\u00a0/\u00a025" in listed
    page = f"{ALERTS}{alert.pk}/change/"
    shown = body(operator, page)
    agent = Agent.objects.order_by("pk").first()
    assert agent
    assert reverse("admin:agents_agent_change", args=[agent.pk]) in shown
    assert "and 5 more" in shown
    silence = {"rule": alert.rule_id, "severity": "", "selector": "", "note": "maintenance", "hours": "4"}
    assert operator.post(reverse("admin:silence_start"), {**silence, "note": ""}).status_code == 200
    assert operator.post(reverse("admin:silence_start"), {**silence, "selector": "a=("}).status_code == 200
    # What the service refuses is said at the field as well, and nothing that was typed is lost.
    refused = operator.post(reverse("admin:silence_start"), {**silence, "note": "two\nlines", "selector": "rack=7"})
    assert "The reason is one line of at most 500 characters." in refused.content.decode()
    assert 'value="rack=7"' in refused.content.decode()
    assert not Silence.objects.exists()
    operator.post(reverse("admin:silence_start"), silence)
    assert "Silenced by olga" in body(operator, page)
    assert body(operator, f"{ALERTS}?attention=silenced").count("Edge is gone") > 0
    operator.post(reverse("admin:silence_end", args=[Silence.objects.get().pk]))
    assert "Silenced by" not in body(operator, page)
    acknowledge = reverse("admin:alert_acknowledge", args=[alert.pk])
    operator.post(acknowledge, {"note": "mine"})
    assert "Acknowledged by olga" in body(operator, page)
    again = operator.post(acknowledge, {"note": "mine"}, follow=True).content.decode()
    assert "It is acknowledged already, by olga." in again
    assert "Edge is gone" in body(operator, f"{ALERTS}?attention=acknowledged")
    assert "Edge is gone" not in body(operator, f"{ALERTS}?attention=needed").split("result_list")[-1]
    assert operator.post(page, {}).status_code == 403


def test_those_that_fire_come_first(signed_in: Client, alert: Alert, fleet: Make, rule: Make) -> None:
    Alert.objects.update(state="resolved")
    rule(parameters={"minutes": 0}, name="Newer")
    rule(parameters={"minutes": 0}, name="Pending", dwell_seconds=600)
    AlertRule.objects.filter(name="Edge is gone").update(enabled=False)
    evaluate_all(clock.now())
    listed = body(signed_in, ALERTS).split("result_list")[-1]
    places = [listed.index(name) for name in ("Newer", "Pending", "Edge is gone")]
    assert places == sorted(places)


def test_the_agents_page_shows_what_fires_for_it(signed_in: Client, alert: Alert, report: Make) -> None:
    well, gone = report("well"), report("gone")
    Agent.objects.filter(pk=gone.pk).update(connected=False, disconnected_at=LONG_AGO)
    link = reverse("admin:alerts_alert_change", args=[alert.pk])
    assert link in body(signed_in, reverse("admin:agents_agent_change", args=[gone.pk]))
    assert link not in body(signed_in, reverse("admin:agents_agent_change", args=[well.pk]))


def test_receivers(signed_in: Client, listener: Listener) -> None:
    assert "admin/alerts/receiver/add/slack/" in body(signed_in, f"{RECEIVERS}add/")
    add = reverse("admin:receiver_add", args=["webhook"])
    sent = {
        "name": "hook",
        "enabled": "on",
        "least_severity": "info",
        "language": "en",
        "address": "x",
        "secret": "hmac-1",
    }
    assert "Write an address such as" in signed_in.post(add, sent).content.decode()
    assert signed_in.post(add, {**sent, "address": f"{listener.url}/very-secret"}).status_code == 302
    row = Receiver.objects.get()
    page = f"{RECEIVERS}{row.pk}/change/"
    shown = body(signed_in, page)
    assert "very-secret" not in shown
    assert "hmac-1" not in shown
    kept = {**sent, "address": "", "secret": "", "based_on": "1", "name": "renamed"}
    assert signed_in.post(page, kept).status_code == 302
    test = reverse("admin:receiver_test", args=[row.pk])
    assert "took the test notice" in signed_in.post(test, follow=True).content.decode()
    assert "X-OpAMP-Signature" in listener.received[0][1]
    listener.answer = lambda handler: status(handler, 500, b"<b>no</b>")
    refused = signed_in.post(test, follow=True).content.decode()
    assert "did not take the test notice" in refused
    assert "<b>no</b>" not in refused
    assert signed_in.post(page, {**kept, "based_on": "2", "no_secret": "on"}).status_code == 302
    row.refresh_from_db()
    assert not row.encrypted_secret
    assert signed_in.post(f"{RECEIVERS}{row.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Receiver.objects.exists()


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("email", {"recipients": "ann@example.com\nops@example.com"}),
        ("slack", {"address": "https://hooks.slack.com/services/x"}),
        ("alertmanager", {"address": "https://alertmanager.example.com"}),
    ],
)
def test_each_kind_of_receiver(signed_in: Client, kind: str, values: dict[str, str]) -> None:
    add = reverse("admin:receiver_add", args=[kind])
    body(signed_in, add)
    sent = {"name": "x", "enabled": "on", "least_severity": "info", "language": "zh-hans", **values}
    assert signed_in.post(add, sent).status_code == 302
    row = Receiver.objects.get()
    assert row.kind == kind
    assert body(signed_in, f"{RECEIVERS}{row.pk}/change/")
    assert signed_in.post(f"{RECEIVERS}{row.pk}/change/", {**sent, "address": "", "based_on": "1"}).status_code == 302


def test_deliveries(operator: Client, alert: Alert) -> None:
    row = AlertDelivery.objects.get()
    AlertDelivery.objects.update(state="failed", attempts=8, problem=PROBLEM)
    assert "Given up" in body(operator, "/admin/alerts/alertdelivery/")
    page = f"/admin/alerts/alertdelivery/{row.pk}/change/"
    assert "Send it once more" in body(operator, page)
    operator.post(reverse("admin:delivery_retry", args=[row.pk]))
    row.refresh_from_db()
    assert row.state == "waiting"
    assert (
        "Only a delivery that was given up"
        in operator.post(reverse("admin:delivery_retry", args=[row.pk]), follow=True).content.decode()
    )


def test_viewers_see_and_do_nothing(client: Client, bob: User, alert: Alert) -> None:
    client.force_login(bob)
    for path in (
        RULES,
        ALERTS,
        RECEIVERS,
        "/admin/alerts/silence/",
        "/admin/alerts/alertdelivery/",
        f"{ALERTS}{alert.pk}/change/",
    ):
        shown = body(client, path)
        assert "Acknowledge<" not in shown
        assert "silence_start" not in shown
    assert body(client, f"{RULES}{alert.rule_id}/change/")
    assert body(client, f"{RECEIVERS}{Receiver.objects.get().pk}/change/")
    for name, model in (("alert_acknowledge", Alert), ("delivery_retry", AlertDelivery), ("receiver_test", Receiver)):
        key = model.objects.get().pk
        assert client.post(reverse(f"admin:{name}", args=[key])).status_code == 403
    assert client.post(reverse("admin:silence_start"), {}).status_code == 403
    assert client.post(f"{RULES}start/").status_code == 403
    assert client.get(f"{RULES}add/agents_gone/").status_code == 403
