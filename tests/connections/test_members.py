"""The pure parts: what is news to an agent, one hash for all members, places, hidden values, texts of the form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from agents.connection_settings import WantedConnection, with_certificate, with_credential, with_wanted
from agents.offered_settings import ProxyOptions, TlsOptions
from agents.replies import OpampSettings, Reply
from agents.reply_parts import Known
from agents.reports import StatusReport
from connections.admin.form_texts import content_typed, fields_of, form_field_of, headers_text, headers_typed
from connections.content import read_content, warnings_of
from connections.destinations import origin_of, same_place
from connections.further_settings import Destination, FurtherSettings
from connections.hidden_values import content_shown, secret_values, with_kept
from connections.members import News, covered_by, digests_of, news_for
from connections.telling import WantedSettings
from opamp_transport.protocol.encoding import encode_reply

KEY = "k" * 40
BASE = OpampSettings("ws://here/v1/opamp", 30, b"h" * 32, (("Authorization", "Bearer s"),))
M, T, L = "own_metrics", "own_traces", "own_logs"


@pytest.mark.rule("S-77", "S-80")
@pytest.mark.parametrize(
    ("wanted", "told", "news"),
    [
        ({}, {}, News()),
        ({M: "1"}, {M: "1"}, News()),
        ({M: "1"}, {}, News(telemetry=(M,))),
        ({M: "1", T: "1", L: "1"}, {M: "1", T: "2", L: "1"}, News(telemetry=(M, T, L))),
        ({M: "1"}, {M: "1", L: "1"}, News(telemetry=(M,), off=(L,))),
        ({}, {L: "1", "opamp": "1", "other_connections.a": "1"}, News(off=(L,))),
        ({"opamp": "2", M: "1"}, {"opamp": "1", M: "1"}, News(opamp=True)),
        (
            {"other_connections.a": "1", "other_connections.b": "2"},
            {"other_connections.a": "1", "other_connections.b": "1"},
            News(others=("b",)),
        ),
    ],
)
def test_what_is_news(wanted: dict[str, str], told: dict[str, str], news: News) -> None:
    assert news_for(wanted, told) == news
    assert bool(news) is (news != News())


@pytest.mark.rule("S-78")
def test_one_hash_covers_all_of_it() -> None:
    def hash_of(covers: bytes = b"c", **changes: Any) -> bytes:
        wanted = WantedConnection(
            "ws://there/v1/opamp", 30, (("X-A", "b"),), tls=TlsOptions(min_version="1.2"), proxy=ProxyOptions("p:1")
        )
        return with_wanted(BASE, replace(wanted, **changes), covers, key=KEY).settings_hash

    made = [
        hash_of(),
        hash_of(b"d"),
        hash_of(endpoint="ws://else/v1/opamp"),
        hash_of(interval_seconds=31),
        hash_of(headers=(("X-A", "c"),)),
        hash_of(has_way_in=True),
        hash_of(tls=None),
        hash_of(tls=TlsOptions(min_version="1.3")),
        hash_of(proxy=ProxyOptions("p:1", (("a", "b"),))),
        hash_of(proxy=ProxyOptions("p:1", (("a", "c"),))),
        with_wanted(BASE, None, b"c", key=KEY).settings_hash,
    ]
    assert len(set(made)) == len(made)
    assert hash_of() == made[0]
    offer = with_wanted(BASE, None, b"c", key=KEY)
    others = [with_credential(offer, "own", key=KEY), with_certificate(offer, b"cert", b"ca", key=KEY)]
    for_others = [with_credential(BASE, "own", key=KEY), with_certificate(BASE, b"cert", b"ca", key=KEY)]
    hashes = {each.settings_hash for each in (offer, *others, *for_others)}
    assert len(hashes) == 5
    assert covered_by({M: "1"}, 0) != covered_by({M: "1"}, 1)
    assert covered_by({M: "1", "opamp": "1"}, 0) == covered_by({M: "1", "opamp": "2"}, 0)


@pytest.mark.rule("S-78")
def test_members_under_two_hashes_are_not_encoded() -> None:
    further = FurtherSettings(b"other", own_logs=Destination("https://h/v1/logs"))
    with pytest.raises(ValueError, match="one hash"):
        encode_reply(Reply(b"u" * 16, opamp_settings=BASE, further=(further,)))
    with pytest.raises(ValueError, match="one hash"):
        encode_reply(Reply(b"u" * 16, further=(replace(further, settings_hash=b""),)))


@pytest.mark.parametrize(
    ("offered", "retry", "retried", "due"),
    [(False, False, False, True), (True, False, False, False), (True, True, False, True), (True, False, True, True)],
)
def test_when_they_are_due(offered: bool, retry: bool, retried: bool, due: bool) -> None:
    part = WantedSettings(BASE, True, None, offered=offered, retry_due=retry)
    known = Known(1, 0, over_http=retried, repeated=retried)
    report = StatusReport(instance_uid=uuid4())
    reply = Reply(b"u" * 16)
    assert (part.add_to(reply, known, report).opamp_settings is BASE) is due
    assert part.add_to(reply, known, None) is reply


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("ws://Host/v1/opamp", "http://host:80"),
        ("wss://host:4320/x", "https://host:4320"),
        ("https://host", "https://host:443"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("ftp://host", ""),
        ("nonsense", ""),
        ("http://[", ""),
        ("http://h:99999", ""),
    ],
)
def test_places(url: str, origin: str) -> None:
    assert origin_of(url) == origin


def test_the_same_place_written_twice() -> None:
    assert same_place("ws://host/v1/opamp", "ws://HOST:80/v1/opamp")
    for other in ("ws://host/v1/other", "http://host/v1/opamp", "ws://host:81/v1/opamp", "ws://host/v1/opamp?a"):
        assert not same_place("ws://host/v1/opamp", other)


def whole() -> dict[str, Any]:
    given = {
        "opamp": {
            "endpoint": "wss://h/v1/opamp",
            "headers": {"Authorization": "Bearer one"},
            "tls": {"include_system_ca_certs_pool": True, "min_version": "1.2"},
            "proxy": {"url": "p.example:3128", "connect_headers": {"Proxy-Authorization": "two"}},
        },
        "own_logs": {"endpoint": "http://h/v1/logs", "headers": {"X-Key": "three"}},
        "other_connections": {"a": {"endpoint": "a:1", "other_settings": {"password": "four-four", "topic": "t"}}},
    }
    content, errors = read_content(given, default_heartbeat=30)
    assert not errors
    return content


def test_secrets_are_hidden_and_come_back() -> None:
    content = whole()
    shown = content_shown(content)
    assert sorted(secret_values(content)) == ["Bearer one", "four-four", "three", "two"]
    assert not any(secret in str(shown) for secret in secret_values(content))
    assert "'topic': 't'" in str(shown)
    assert with_kept(shown, content) == (content, {})
    assert digests_of(with_kept(shown, content)[0], key=KEY) == digests_of(content, key=KEY)
    assert len(warnings_of(content, timezone.now())) == 1


@pytest.mark.parametrize(
    "given", [None, 5, "x", [], {"opamp": None}, {"other_connections": 5}, {"a": {"b": ["[redacted]"]}}]
)
def test_anything_may_be_sent(given: Any) -> None:
    with_kept(given, whole())
    assert read_content(given, default_heartbeat=30)[1]


def test_the_form_says_the_same_again() -> None:
    shown = content_shown(whole())
    fields = fields_of(shown)
    assert fields["opamp_headers"] == "Authorization: [redacted]"
    again = content_typed({**fields, "other_connections": shown["other_connections"]}, shown)
    content, errors = read_content(with_kept(again, whole())[0], default_heartbeat=30)
    assert not errors
    assert content == whole()


def test_headers_as_lines() -> None:
    assert headers_typed(" A : b: c \n\nD\n") == {"A": "b: c", "D": ""}
    assert headers_typed(headers_text({"A": "b", "C": "d"})) == {"A": "b", "C": "d"}
    assert set(headers_typed("A: 1\nA: 2")) == {"A", "A "}
    fields = {
        "opamp_headers": 1,
        "opamp_verify": 1,
        "opamp_endpoint": 1,
        "opamp_ca_pem": 1,
        "other_connections": 1,
        "name": 1,
    }
    found = {
        path: form_field_of(path, fields)
        for path in (
            "content.opamp.headers.X",
            "content.opamp.tls",
            "content.opamp",
            "content.other_connections.a.b",
            "name",
        )
    }
    assert list(found.values()) == ["opamp_headers", "opamp_verify", "opamp_endpoint", "other_connections", "name"]
    assert form_field_of("content", fields) is None
    assert form_field_of("content.opamp.tls.ca_pem_contents", fields) == "opamp_ca_pem"
