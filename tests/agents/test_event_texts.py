"""The timeline in words."""

from __future__ import annotations

import pytest
from django.utils import timezone, translation

from agents.event_texts import line_of
from agents.models import AgentEvent

Kind = AgentEvent.Kind


def text_of(kind: str, **data: object) -> str:
    return line_of(AgentEvent(kind=kind, at=timezone.now(), data=data)).text


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        ("registered", {"transport": "http"}, "Seen for the first time, over HTTP"),
        ("connected", {"transport": "websocket", "remote_address": "::1"}, "Connected over WebSocket from ::1"),
        ("disconnected", {"reason": "silent"}, "Disconnected: nothing was heard of it in time"),
        ("disconnected", {"reason": "eclipse"}, "Disconnected: eclipse"),
        (
            "capabilities",
            {"added": ["A", "B"], "removed": ["C"]},
            "Capabilities changed: now can A, B; no longer can C",
        ),
        ("health", {"healthy": True}, "Became healthy"),
        ("health", {"healthy": None}, "Took new connection settings, and has not said since how it is"),
        ("health", {"healthy": False, "error": "port taken"}, "Unhealthy: port taken"),
        ("health", {"healthy": False, "error": ""}, "Became unhealthy"),
        ("credential", {"step": "issued"}, "A credential of its own was sent to it"),
        ("credential", {"step": "revoked", "by": "bob"}, "Its credential was revoked by bob: it may not connect"),
        ("credential", {"step": "allowed", "by": ""}, "the system allows it to enrol with the shared secret"),
        ("credential", {"step": "polished"}, "Credential"),
        ("assigned", {"configuration": "prod", "revision": 3}, "Configuration prod r3 assigned"),
        ("unassigned", {"former": "prod"}, "No configuration matches any more; it was prod"),
        ("failed", {"configuration": "p", "revision": 1, "error": "no"}, "Configuration p r1 failed: no"),
        ("failed", {"configuration": "p", "revision": 1}, "Configuration p r1 failed: the agent gave no reason"),
        ("labels", {"operator_labels": {"a": "1"}, "by": "alice"}, "Operator labels set by alice: a=1"),
        ("labels", {"operator_labels": {}, "by": ""}, "Operator labels set by the system: none"),
        ("edited", {"custom_name": "x", "notes": "y", "by": "bob"}, "Edited by bob: name, notes"),
        ("command", {"command": "restart", "outcome": "pending", "by": "bob"}, "Restart asked for by bob"),
        ("command", {"command": "restart", "outcome": "done"}, "Restart: done"),
        (
            "command",
            {"command": "custom_message", "outcome": "sent", "type": "t"},
            "Custom message t sent to the agent",
        ),
        ("identity", {"former": "a", "new": "b"}, "Goes by a new instance UID; the former was a"),
        ("identity", {"assigned": "b", "by": "bob"}, "A new instance UID was assigned by bob"),
        ("identity", {"asked_for": "b"}, "Asked for a new instance UID"),
        (
            "identity",
            {"duplicate": True, "kept": "::1", "moved": "::2", "new": "b"},
            "Two agents spoke under this UID, from ::1 and from ::2: the latter gets one of its own",
        ),
        (
            "custom_message",
            {"capability": "c", "type": "t", "size": 2, "data_base64": "aGk="},
            "Custom message t of c received: hi",
        ),
        (
            "custom_message",
            {"capability": "c", "type": "t", "size": 2, "data_base64": "/wA="},
            "Custom message t of c received: 2 bytes",
        ),
        (
            "custom_message",
            {"capability": "c", "type": "t", "failed": "ValueError()"},
            "Custom message t of c could not be handled: ValueError()",
        ),
        ("refused", {"why": "no uid"}, "Message refused – why: no uid"),
    ],
)
def test_events_in_words(kind, data, text):
    assert text_of(kind, **data) == text


@pytest.mark.parametrize("kind", Kind.values)
@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("data", [{}, {"operator_labels": None}, {"unheard": {"of": [1]}}, {"error": "x" * 5_000}])
def test_no_event_is_without_words_whatever_it_carries(kind, language, data):
    with translation.override(language):
        text = text_of(kind, **data)
    assert 0 < len(text) < 1_000


def test_an_event_of_a_later_version_is_shown_by_its_values():
    line = line_of(AgentEvent(kind="teleported", at=timezone.now(), data={"to": "mars"}))
    assert "teleported" in line.text
    assert "to: mars" in line.text
