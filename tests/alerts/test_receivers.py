"""Receivers of each kind, as they are told: what arrives, with which signature, in which language."""

from __future__ import annotations

import hashlib
import hmac
import json
import smtplib
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.core import mail
from pytest_django import Settings

from accounts.models import AuditEntry
from alerts.errors import ChangedMeanwhile, InvalidAlerting
from alerts.models import Alert, AlertDelivery, Receiver
from alerts.services.delivering import carry_out
from alerts.services.evaluating import evaluate_all
from alerts.services.notifying import receivers_of
from alerts.services.receiver_edits import create_receiver, delete_receiver, try_receiver, update_receiver
from tests.alerts.conftest import NOW, Listener, later, status

pytestmark = pytest.mark.django_db
Make = Callable[..., Any]


@pytest.fixture
def told(fleet: Make, rule: Make) -> Callable[..., AlertDelivery]:
    """The one delivery of an alert about two agents, carried out."""

    def make(**values: Any) -> AlertDelivery:
        labels = {"env": "prod", "os.type": "linux"}
        fleet(2, labels=labels, connected=False, disconnected_at=NOW)
        rule(
            parameters={"minutes": 0}, name="Edge is gone", description="Call Ann.", selector=labels, severity="critical",
            **values,
        )  # fmt: skip
        evaluate_all(NOW)
        delivery = carry_out(AlertDelivery.objects.get().pk, later(1))
        assert delivery is not None
        return delivery

    return make


@pytest.mark.parametrize("name", ["two\r\nlines", "a\tb", "\u202egnp.exe", "\u200b", "a\u2028b"])
def test_names_that_nobody_can_read(receiver: Make, name: str) -> None:
    with pytest.raises(InvalidAlerting) as refused:
        receiver(name=name)
    assert refused.value.errors["name"][0].code == "alerting-name"


@pytest.mark.parametrize("name", ["on call", "值班\u3000人员", "équipe 1\u00a0A", "👩\u200d🚒"])
def test_names_of_all_kinds(receiver: Make, rule: Make, name: str) -> None:
    assert receiver(name=name).name == name
    assert rule(name=name).name == name


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("email", {"recipients": ["a@b.example"], "address": "https://hooks.example.com/"}),
        ("email", {"recipients": ["a@b.example"], "secret": "s3cret-s3cret"}),
        ("slack", {"secret": "s3cret-s3cret"}),
        ("slack", {"recipients": ["a@b.example"]}),
        ("webhook", {"recipients": ["a@b.example"]}),
        ("alertmanager", {"recipients": ["a@b.example"]}),
    ],
)
def test_what_a_kind_has_no_use_for_is_refused_and_not_dropped(
    receiver: Make, kind: str, values: dict[str, Any]
) -> None:
    with pytest.raises(InvalidAlerting) as refused:
        receiver(kind, **values)
    (name,) = set(values) - ({"recipients"} if kind == "email" else set())
    assert [said.code for said in refused.value.errors[name]] == ["receiver-has-none"]
    assert receiver("webhook", recipients=[], secret="").kind == "webhook"


def test_a_webhook_is_signed(listener: Listener, receiver: Make, told: Make, settings: Settings) -> None:
    settings.PUBLIC_URL = "https://portal.example.com"
    receiver(address=f"{listener.url}/hook", secret="s3cret-s3cret")
    delivery = told()
    assert (delivery.state, delivery.status_code, delivery.attempts) == ("sent", 200, 1)
    path, headers, body = listener.received[0]
    assert path == "/hook"
    parts = dict(part.split("=", 1) for part in headers["X-OpAMP-Signature"].split(","))
    wanted = hmac.new(b"s3cret-s3cret", f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(parts["v1"], wanted)
    assert int(parts["t"]) == int(later(1).timestamp())
    assert headers["Idempotency-Key"] == str(delivery.key)
    assert headers["Content-Type"] == "application/json"
    document = json.loads(body)
    alert = document.pop("alert")
    assert document == {
        "version": 1, "id": str(delivery.key), "event": "firing", "sent_at": "2030-01-01T12:00:01+00:00",
        "title": "[Firing] Edge is gone",
    }  # fmt: skip
    assert alert["summary"] == "2 of 2 agents have been gone for 0 minutes or longer."
    assert alert["labels"] == {"env": "prod", "os.type": "linux"}
    assert [one["name"] for one in alert["sample"]] == ["agent-00000", "agent-00001"]
    assert alert["sample"][0]["instance_uid"]
    assert alert["url"] == f"https://portal.example.com/admin/alerts/alert/{alert['id']}/change/"


def test_slack(listener: Listener, receiver: Make, told: Make) -> None:
    receiver("slack", address=listener.url, language="zh-hans")
    assert told().state == "sent"
    text = json.loads(listener.received[0][2])["text"]
    assert "Edge is gone" in text
    assert "`agent-00000`, `agent-00001`" in text


def test_slack_mentions_nobody(listener: Listener, receiver: Make, fleet: Make, rule: Make) -> None:
    receiver("slack", address=listener.url)
    fleet(1, prefix="<!channel> & co", connected=False, disconnected_at=NOW)
    rule(parameters={"minutes": 0})
    evaluate_all(NOW)
    carry_out(AlertDelivery.objects.get().pk, NOW)
    assert "&lt;!channel&gt; &amp; co" in json.loads(listener.received[0][2])["text"]


def test_alertmanager(listener: Listener, receiver: Make, told: Make) -> None:
    receiver("alertmanager", address=f"{listener.url}/", secret="token")
    assert told().state == "sent"
    path, headers, body = listener.received[0]
    assert (path, headers["Authorization"]) == ("/api/v2/alerts", "Bearer token")
    (alert,) = json.loads(body)
    assert alert["labels"] == {
        "alertname": "Edge is gone", "severity": "critical", "source": "opamp-platform", "env": "prod", "os_type": "linux",
    }  # fmt: skip
    assert alert["startsAt"] == "2030-01-01T12:00:00+00:00"
    assert alert["endsAt"] > "2030-01-08"
    Alert.objects.get().rule.agents = None
    from agents.models import Agent

    Agent.objects.update(connected=True)
    evaluate_all(later(60))
    carry_out(AlertDelivery.objects.get(event="resolved").pk, later(61))
    (over,) = json.loads(listener.received[1][2])
    assert over["labels"] == alert["labels"]
    assert over["endsAt"] == "2030-01-01T12:01:00+00:00"


def test_mail(receiver: Make, told: Make, settings: Settings) -> None:
    settings.ALERTS = replace(settings.ALERTS, email=True)
    settings.DEFAULT_FROM_EMAIL = "portal@example.com"
    receiver("email", recipients=["ann@example.com", "ops@example.com", "ann@example.com"])
    delivery = told()
    assert delivery.state == "sent"
    (message,) = mail.outbox
    assert message.subject == "[Firing] Edge is gone"
    assert message.to == ["ann@example.com", "ops@example.com"]
    assert "2 of 2 agents have been gone" in message.body
    assert "Call Ann." in message.body
    assert str(delivery.key) in message.extra_headers["Message-ID"]


def test_mail_without_a_server_for_it(receiver: Make, told: Make) -> None:
    receiver("email", recipients=["ann@example.com"])
    delivery = told()
    assert delivery.state == "failed"
    assert delivery.problem["code"] == "email-not-set-up"


class MailServer:
    """A little SMTP server: one conversation, in which each RCPT gets ``answer``."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.data = b""
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        wire, _address = self.server.accept()
        with wire, wire.makefile("rwb", buffering=0) as lines:
            lines.write(b"220 test ESMTP\r\n")
            while line := lines.readline():
                word = line[:4].upper()
                if word == b"DATA":
                    lines.write(b"354 go on\r\n")
                    while (part := lines.readline()) != b".\r\n":
                        self.data += part
                    lines.write(b"250 taken\r\n")
                elif word == b"QUIT":
                    lines.write(b"221 bye\r\n")
                    return
                else:
                    lines.write(f"{self.answer}\r\n".encode() if word == b"RCPT" else b"250 well\r\n")

    def close(self) -> None:
        self.thread.join(5)
        self.server.close()


@pytest.mark.parametrize(
    ("answer", "state", "code"),
    [("250 well", "sent", None), ("550 nobody", "failed", 550), ("451 later", "waiting", 451)],
)
def test_mail_over_smtp(
    receiver: Make, told: Make, settings: Settings, answer: str, state: str, code: int | None
) -> None:
    server = MailServer(answer)
    settings.ALERTS = replace(settings.ALERTS, email=True)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", server.port, 5
    receiver("email", recipients=["ann@example.com"])
    try:
        delivery = told()
    finally:
        server.close()
    assert (delivery.state, delivery.status_code) == (state, code)
    assert (b"Edge is gone" in server.data) is (state == "sent")
    assert smtplib.SMTP is not None


def test_which_receivers_are_told(rule: Make, receiver: Make) -> None:
    default, off = receiver(), receiver(enabled=False)
    severe = receiver(least_severity="critical")
    own = receiver(is_default=False)
    assert receivers_of(rule()) == [default]
    assert receivers_of(rule(severity="critical")) == [default, severe]
    assert receivers_of(rule(receivers=[own])) == [own]
    assert receivers_of(rule(receivers=[off])) == []


def test_who_got_the_beginning_gets_the_end(fleet: Make, rule: Make, receiver: Make) -> None:
    first, second = receiver(), receiver()
    (agent,) = fleet(1, connected=False, disconnected_at=NOW)
    rule(parameters={"minutes": 0})
    evaluate_all(NOW)
    AlertDelivery.objects.filter(receiver=first).update(state="failed")
    receiver()
    type(agent).objects.update(connected=True)
    evaluate_all(later(15))
    assert [row.receiver for row in AlertDelivery.objects.filter(event="resolved")] == [second]


def test_a_test_notice(listener: Listener, receiver: Make, alice: Any) -> None:
    row = receiver(address=listener.url, secret="abc")
    assert try_receiver(row, by=alice, at=NOW).problem is None
    assert json.loads(listener.received[0][2])["event"] == "test"
    listener.answer = lambda handler: status(handler, 403, b"who are you?")
    tried = try_receiver(row, by=alice, at=NOW)
    assert str(tried.problem) == "It answered with status 403: who are you?"
    assert AuditEntry.objects.filter(verb="receiver.test").count() == 2
    assert not AlertDelivery.objects.exists()


def test_secrets_go_in_and_never_come_out(receiver: Make) -> None:
    row = receiver(address="https://hooks.example.com/services/T0/very-secret", secret="hmac-key-1")
    assert row.address_shown == "https://hooks.example.com/…"
    kept = json.dumps([str(value) for table in (Receiver, AuditEntry) for value in table.objects.values()])
    assert "very-secret" not in kept
    assert "hmac-key-1" not in kept


def test_another_address_does_not_get_the_secret(receiver: Make) -> None:
    row = receiver(secret="hmac-key-1")
    same = update_receiver(row.pk, {"name": "renamed", "address": "http://127.0.0.1:9/hook"}, by=None, at=NOW)
    assert same.encrypted_secret
    other = update_receiver(row.pk, {"address": "https://attacker.example/"}, by=None, at=NOW)
    assert not other.encrypted_secret
    both = update_receiver(row.pk, {"address": "https://b.example/", "secret": "x"}, by=None, at=NOW)
    assert both.encrypted_secret
    assert not update_receiver(row.pk, {"secret": ""}, by=None, at=NOW).encrypted_secret


def test_edits_that_overtake_each_other(receiver: Make) -> None:
    row = receiver()
    update_receiver(row.pk, {"name": "first"}, by=None, at=NOW, editions={1})
    with pytest.raises(ChangedMeanwhile):
        update_receiver(row.pk, {"name": "second"}, by=None, at=NOW, editions={1})
    update_receiver(row.pk, {"name": "first"}, by=None, at=NOW, editions={2})
    row.refresh_from_db()
    assert (row.name, row.edition) == ("first", 2)


def test_a_key_that_is_lost_is_said(receiver: Make, told: Make, settings: Settings) -> None:
    receiver(secret="abc")
    settings.SECRET_KEY = "another key than the one it was encrypted with"
    delivery = told()
    assert delivery.state == "failed"
    assert delivery.problem["code"] == "receiver-unreadable"


def test_a_receiver_goes_with_its_deliveries(receiver: Make, told: Make) -> None:
    row = receiver()
    told()
    delete_receiver(row, by=None)
    assert not AlertDelivery.objects.exists()
    assert Alert.objects.exists()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, "address"),
        ({"address": "ftp://x/"}, "address"),
        ({"address": "https://a@b/"}, "address"),
        ({"address": "https://a/", "secret": "two words"}, "secret"),
        ({"address": "https://a/", "secret": "x" * 501}, "secret"),
        ({"address": "https://a/", "language": "tlh"}, "language"),
        ({"address": "https://a/", "least_severity": "x"}, "least_severity"),
        ({"address": "https://a/", "name": ""}, "name"),
        ({"kind": "pigeon", "address": "https://a/"}, "kind"),
        ({"kind": "email"}, "recipients"),
        ({"kind": "email", "recipients": ["x"]}, "recipients"),
        ({"kind": "email", "recipients": ["a@example.com\nBcc: b@example.com"]}, "recipients"),
        ({"kind": "email", "recipients": [None]}, "recipients"),
        ({"kind": "email", "recipients": "a@example.com"}, "recipients"),
        ({"kind": "email", "recipients": ["a@example.com"] * 51}, "recipients"),
    ],
)
def test_receivers_that_are_none(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidAlerting) as refused:
        create_receiver({"name": "x", "kind": "webhook", **values}, by=None, at=NOW)
    assert field in refused.value.errors
    assert not Receiver.objects.exists()
