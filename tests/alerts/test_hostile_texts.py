"""What agents call themselves and what receivers answer: within notices, and within what is kept of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.core import mail
from pytest_django import Settings

from accounts.models import AuditEntry
from alerts.models import AlertDelivery
from alerts.plain_texts import one_line, without, without_controls
from alerts.services.delivering import carry_out
from alerts.services.evaluating import evaluate_all
from alerts.services.receiver_edits import try_receiver
from tests.alerts.conftest import NOW, Listener, status

pytestmark = pytest.mark.django_db
Make = Callable[..., Any]


@pytest.fixture
def told(fleet: Make, rule: Make) -> Callable[..., AlertDelivery]:
    """A fleet of agents with such a name, gone, and what was told of it."""

    def make(name: str, **values: Any) -> AlertDelivery:
        fleet(1, prefix=name, connected=False, disconnected_at=NOW, labels={"rack": name})
        rule(parameters={"minutes": 0}, **{"name": "Edge is gone", **values})
        evaluate_all(NOW)
        delivery = AlertDelivery.objects.get()
        carry_out(delivery.pk, NOW)
        delivery.refresh_from_db()
        return delivery

    return make


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\nBcc: b@example.com", "a Bcc: b@example.com"),
        ("a\x00b\x1b[31m\x85\u2028c", "a b [31m c"),
        ("edge\u202egnp.exe\u2069 \ud800", "edge gnp.exe"),
        ("x" * 500, "x" * 99 + "…"),
        ("👩\u200d🚒 机架", "👩\u200d🚒 机架"),
    ],
)
def test_one_line(text: str, shown: str) -> None:
    assert one_line(text, 100) == shown


def test_readable_texts_keep_their_lines() -> None:
    assert without_controls("a\nb\x00\tc") == "a\nb \tc"


def test_secrets_are_taken_out_whole() -> None:
    assert without("abcdef abcd", ["abcd", "abcdef", "abc", ""]) == "[redacted] [redacted]"


@pytest.mark.parametrize(
    "name", ["<!channel> @all @here", "<https://e.example|log in>", "a`b*c*", "http://e.example", "n\n*x*"]
)
def test_slack_shows_what_agents_say_as_it_is(listener: Listener, receiver: Make, told: Make, name: str) -> None:
    receiver("slack", address=listener.url)
    assert told(name, group_by="label", group_label="rack").state == "sent"
    text = json.loads(listener.received[0][2])["text"]
    first, *_others, named = text.split("\n")
    assert "<" not in text
    assert "@a" not in text
    assert "@h" not in text
    # Agents are within code, where nothing is a link, bold, or a line of ours.
    assert first.startswith("🔴 *[Firing] Edge is gone* (`")
    assert first.endswith("`)")
    assert named[0] == named[-1] == "`"
    assert text.count("`") == 4
    assert text.count("*[") == 1


def test_the_description_mentions_nobody(listener: Listener, receiver: Make, told: Make) -> None:
    receiver("slack", address=listener.url)
    told("edge", description="<!here> @channel see https://runbook.example/a or ann@example.com")
    text = json.loads(listener.received[0][2])["text"]
    assert "@channel" not in text
    assert "<" not in text
    assert "https://runbook.example/a or ann@example.com" in text


def test_mail_has_no_header_of_theirs(receiver: Make, told: Make, settings: Settings) -> None:
    settings.ALERTS = replace(settings.ALERTS, email=True)
    receiver("email", recipients=["ann@example.com"])
    delivery = told("e\r\nBcc: b@example.com\n\nSeverity: none", group_by="label", group_label="rack")
    assert delivery.state == "sent"
    (message,) = mail.outbox
    assert "\n" not in message.subject
    assert message.message()["Bcc"] is None
    assert "Bcc: b@example.com" in message.subject
    lines = message.body.split("\n")
    assert not [line for line in lines if line.startswith("Severity: none")]


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_what_is_not_named_is_counted_in_the_receivers_language(
    listener: Listener, receiver: Make, told: Make, fleet: Make, language: str
) -> None:
    receiver("slack", address=listener.url, language=language)
    fleet(30, connected=False, disconnected_at=NOW)
    told("last")
    text = json.loads(listener.received[0][2])["text"]
    assert ("and 11 more" in text) is (language == "en")
    assert "11" in text
    assert text.count("`") == 40


@pytest.mark.parametrize("body", [b"no\x00way\x1b[2J", b"\xff\xfe\x00", "\u202egnirts".encode()])
def test_answers_of_any_bytes_are_kept(listener: Listener, receiver: Make, told: Make, body: bytes) -> None:
    """PostgreSQL refuses a NUL within JSON: the delivery would never come to an end."""
    listener.answer = lambda handler: status(handler, 500, body)
    receiver(address=listener.url)
    delivery = told("edge")
    assert (delivery.state, delivery.status_code) == ("waiting", 500)
    assert "\x00" not in json.dumps(delivery.problem, ensure_ascii=False)
    assert "\u202e" not in json.dumps(delivery.problem, ensure_ascii=False)


def test_a_receiver_that_repeats_its_secrets(listener: Listener, receiver: Make, told: Make, alice: Any) -> None:
    """Neither what signs notices nor what is in the address comes back by way of an answer, nor is in the log of attempts."""
    paths: list[str] = []

    def echo(handler: Any) -> None:
        paths.append(handler.path)
        status(handler, 403, f"bad key pa55-horse for {handler.path}, T0AB-wellhidden, Q-wellhidden".encode())

    listener.answer = echo
    row = receiver(address=f"{listener.url}/services/T0AB-wellhidden?key=Q-wellhidden", secret="pa55-horse")
    delivery = told("edge")
    tried = try_receiver(row, by=alice, at=NOW)
    assert paths == ["/services/T0AB-wellhidden?key=Q-wellhidden"] * 2
    kept = json.dumps([delivery.problem, [entry.data for entry in AuditEntry.objects.all()]]) + str(tried.problem)
    assert "It answered with status 403: bad key" in kept
    assert "pa55-horse" not in kept
    assert "wellhidden" not in kept


def test_a_delivery_that_never_comes_to_an_end_is_given_up(receiver: Make, told: Make) -> None:
    receiver()
    delivery = told("edge")
    AlertDelivery.objects.update(state="sending", attempts=8, claimed_until=NOW, problem=None)
    carry_out(delivery.pk, NOW)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.claimed_until) == ("failed", 8, None)
    assert delivery.problem["code"] == "delivery-interrupted"


def test_what_is_compressed_is_not_unpacked(listener: Listener, receiver: Make, told: Make) -> None:
    bomb = base64.b64decode("H4sIAAAAAAAAA0tMBAIA+LVfmQYAAAA=") * 1_000
    listener.answer = lambda handler: status(handler, 500, bomb, Content_Encoding="gzip")
    receiver(address=listener.url)
    assert len(json.dumps(told("edge").problem)) < 2_000
