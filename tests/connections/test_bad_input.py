"""Inputs that nobody should send, at every way into connection settings: refused at their place, and nothing of them stays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from connections.content import read_content, warnings_of
from connections.destinations import Wrong, opamp_endpoint, other_endpoint, proxy_address, telemetry_endpoint
from connections.errors import InvalidSettings
from connections.models import ConnectionSettings, SettingsVersion
from connections.services.settings_edits import create_settings
from tests.certificate_files import Authority, pem_of, pem_of_key
from tests.connections.conftest import telemetry
from tests.connections.conversing import (
    APPLYING,
    FAILED,
    HEADERS,
    SECRET,
    Make,
    connection_of,
    members,
    prod,
    status,
)
from tests.fake_agent import run
from tests.opamp_transport.conversations import BOTH, Line

pytestmark = pytest.mark.django_db
URL = "/api/v1/connection-settings"
ADD = "/admin/connections/connectionsettings/add/"
HTTPS = "https://h/v1/m"


@pytest.fixture
def api(api_of: Callable[[User], APIClient], alice: User) -> APIClient:
    return api_of(alice)


def errors_of(given: dict[str, Any]) -> set[str]:
    return set(read_content(given, default_heartbeat=30)[1])


class TestAddresses:
    @pytest.mark.parametrize(
        "text",
        [
            "ws://u@h/x",
            "ws://@h/x",
            "ws://h\\@evil/x",
            "ws://h:80:90/x",
            "ws://h:-1/x",
            "ws://[::1/x",
            "ws://[h]/x",
            "ws://:80/x",
            "ws:///x",
            "ws:h",
            "//h/x",
            "ws://münchen/x",
            "ws://h/\u202ex",
            "ws://h/\x00",
            "ws://h/?a#",
            " ws://h/",
            "ws://h/\n",
            "wss+unix://h/",
            "grpc://h:4317",
        ],
    )
    def test_of_this_server(self, text: str) -> None:
        with pytest.raises(Wrong):
            opamp_endpoint(text)

    @pytest.mark.parametrize(
        "text",
        ["ws://[2001:db8::1]:4320/v1/opamp", "WSS://Host.example/x?y=z", "http://xn--mnchen-3ya.example/v1/opamp"],
    )
    def test_other_spellings_are_places_too(self, text: str) -> None:
        assert opamp_endpoint(text) == text

    @pytest.mark.parametrize(
        "text", ["http://h", "https://h/", "https://h/v1/metrics#x", "ws://h/v1/metrics", "https://u:p@h/v1/metrics"]
    )
    def test_of_telemetry(self, text: str) -> None:
        with pytest.raises(Wrong):
            telemetry_endpoint(text)

    @pytest.mark.parametrize(
        "text",
        [
            "user:word@kafka:9092",
            "amqp://u:p@h?x=1",
            "amqp://u:p@h#x",
            "JavaScript:x",
            "data:text/html,x",
            "a b",
            "a\nb",
        ],
    )
    def test_of_other_connections(self, text: str) -> None:
        with pytest.raises(Wrong):
            other_endpoint(text)

    @pytest.mark.parametrize(
        "text", ["kafka-1:9092,kafka-2:9092", "amqp://h/?user=a@b", "/var/run/agent.sock", "h:1/a@b"]
    )
    def test_an_at_sign_elsewhere_is_no_user(self, text: str) -> None:
        assert other_endpoint(text) == text

    @pytest.mark.parametrize("text", ["p", "p:99999999", "u:p@p:3128", "http://u@p:3128", "socks4://p:1", "[::1]"])
    def test_of_proxies(self, text: str) -> None:
        with pytest.raises(Wrong):
            proxy_address(text)


class TestContent:
    @pytest.mark.parametrize(
        "name", ["Sec-WebSocket-Key", "sec-websocket-extensions", "Upgrade", "A b", "A:", "", "A\n"]
    )
    def test_headers_that_break_a_request(self, name: str) -> None:
        given = {"opamp": {"endpoint": "ws://h/x", "headers": {name: "x"}}}
        assert errors_of(given) == {f"content.opamp.headers.{name}"}

    def test_a_key_among_certificates_is_refused(self) -> None:
        """Certificates are shown again; a key beside them would be, too."""
        pair = Authority.made()
        cert, key = pem_of(pair.certificate).decode(), pem_of_key(pair.key).decode()
        for both in (cert + key, key + cert, key):
            assert errors_of({"own_logs": {"endpoint": HTTPS, "tls": {"ca_pem_contents": both}}}) == {
                "content.own_logs.tls.ca_pem_contents"
            }
            of_agent = {"cert": both, "private_key": key}
            assert "content.own_logs.certificate.cert" in errors_of(
                {"own_logs": {"endpoint": HTTPS, "certificate": of_agent}}
            )

    def test_several_certificates_and_what_openssl_writes_before_them(self) -> None:
        several = "".join(f"subject=x\n\n{pem_of(Authority.made().certificate).decode()}" for _ in range(3))
        content, errors = read_content(
            {"own_logs": {"endpoint": HTTPS, "tls": {"ca_pem_contents": several}}}, default_heartbeat=30
        )
        assert not errors
        assert content["own_logs"]["tls"]["ca_pem_contents"] == several

    def test_certificates_of_another_time_are_told(self) -> None:
        old = pem_of(Authority.made().certificate).decode()
        given = {"own_logs": {"endpoint": HTTPS, "tls": {"ca_pem_contents": old}}}
        content, errors = read_content(given, default_heartbeat=30)
        assert not errors
        now = timezone.now()
        assert [said.code for said in warnings_of(content, now)] == []
        for other in (now + timedelta(days=101), now - timedelta(days=2)):
            assert [said.code for said in warnings_of(content, other)] == ["certificate-out-of-time"]

    def test_schemes_in_upper_case_are_the_same(self) -> None:
        given = {"opamp": {"endpoint": "WS://h/x", "headers": {"A": "b"}}}
        content, errors = read_content(given, default_heartbeat=30)
        assert not errors
        assert [said.code for said in warnings_of(content, timezone.now())] == ["headers-unencrypted"]
        assert errors_of({"opamp": {"endpoint": "WSS://h/x"}}) == {"content.opamp.tls"}

    @pytest.mark.parametrize("value", ['Digest a="b"', "back\\slash", "a${env:HOME}", "cost$$5"])
    def test_what_supervisors_write_into_yaml_as_it_is(self, value: str) -> None:
        """They would begin no more, and are told by hand alone to forget it."""
        given = {"own_metrics": telemetry(headers={"X-A": value})}
        assert errors_of(given) == {"content.own_metrics.headers.X-A"}
        assert errors_of({"own_metrics": telemetry("a${env:HOME}")}) == {"content.own_metrics.endpoint"}
        assert not errors_of({"opamp": {"endpoint": "ws://h/x", "headers": {"X-A": value}}})


class TestEntrances:
    @pytest.mark.parametrize(
        "body",
        [
            {"content": {"other_connections": {"a": {"endpoint": "x:1", "other_settings": {"k": "a\x00b"}}}}},
            {"content": {"own_logs": {"endpoint": HTTPS, "tls": {"cipher_suites": [{}] * 65}}}},
            {"content": {"own_logs": {"endpoint": HTTPS, "tls": {"cipher_suites": [[]]}}}},
            {"content": {"opamp": {"endpoint": ["ws://h"]}}},
            {"content": {"opamp": {"endpoint": "[redacted]"}}},
            {"content": {"own_logs": {"endpoint": HTTPS, "headers": {"A": "[redacted]"}}}},
            {"content": {"a": {"b": {"c": {"d": {"e": "[redacted]"}}}}}},
            {"name": "site\x00"},
            {"name": "a/b"},
            {"name": ""},
            {"description": "x" * 4_001},
            {"description": "a\x00"},
            {"selector": {"a": "b\x00"}},
            {"selector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}},
            {"priority": 1.5},
            {"note": "x" * 501},
        ],
        ids=range(16),
    )
    def test_over_rest(self, api: APIClient, body: dict[str, Any]) -> None:
        whole = {"name": "site", "selector": {"env": "prod"}, "content": {"own_metrics": telemetry()}, **body}
        answer = api.post(URL, whole)
        assert answer.status_code == 400, answer.json()
        assert not ConnectionSettings.objects.exists()
        assert not SettingsVersion.objects.exists()

    def test_a_deep_body(self, api: APIClient) -> None:
        deep = b'{"name": "site", "content": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001
        assert api.generic("POST", URL, deep, content_type="application/json").status_code == 400

    @pytest.mark.parametrize(
        "typed",
        [
            {"selector": "[" * 100_000},
            {"other_connections": '{"a":' * 5_000 + "1" + "}" * 5_000},
            {"other_connections": '{"a": {"endpoint": "x:1", "other_settings": {"k": "\\ud800"}}}'},
            {"other_connections": '{"a": {"endpoint": "x:1", "other_settings": {"k": "\\u0000"}}}'},
            {"other_connections": "[]"},
            {"other_connections": '{"a": {"endpoint": NaN}}'},
            {"opamp_endpoint": "ws://h/x", "opamp_heartbeat_seconds": "0"},
            {"opamp_endpoint": "ws://h/x", "opamp_heartbeat_seconds": "9" * 40},
            {"opamp_endpoint": "ws://h/x", "opamp_headers": "no colon"},
            {"opamp_endpoint": "ws://h/x", "opamp_headers": "A: b\nA: c"},
            {"opamp_endpoint": "wss://h/x", "opamp_verify": "ca"},
            {"opamp_endpoint": "wss://h/x", "opamp_verify": "nonsense"},
            {"opamp_endpoint": "ws://h/x\x00"},
            {"name": "site\x00", "opamp_endpoint": "ws://h/x"},
        ],
        ids=range(14),
    )
    def test_in_the_portal(self, signed_in: Client, typed: dict[str, str]) -> None:
        fields = {"name": "site", "selector": '{"env": "prod"}', "priority": "0", "enabled": "on", **typed}
        for more in ({}, {"confirmed": "yes", "release-how": "at_once"}):
            answer = signed_in.post(ADD, {**fields, **more})
            assert answer.status_code == 200
            assert "errorlist" in answer.content.decode()
        assert not ConnectionSettings.objects.exists()

    def test_names_end_where_they_end(self) -> None:
        values = {"name": "site\n", "selector": {"env": "prod"}, "content": {"own_metrics": telemetry()}}
        with pytest.raises(InvalidSettings):
            create_settings(values, by=None, at=timezone.now())

    def test_a_selector_that_nobody_matches_and_one_that_all_do(
        self, api: APIClient, report: Callable[..., Any]
    ) -> None:
        report(env="prod")
        body = {"content": {"own_metrics": telemetry()}}
        for name, selector, number in (
            ("nobody", {"env": "nowhere"}, 0),
            ("nothing", {}, 0),
            ("all", {"matchExpressions": [{"key": "nothing", "operator": "DoesNotExist"}]}, 1),
        ):
            made = api.post(URL, {"name": name, "selector": selector, **body}).json()
            assert made["agents"] == number, name


@pytest.mark.django_db(transaction=True)
@BOTH
class TestAgents:
    def test_what_it_says_of_settings_is_bounded_and_believed_of_what_it_was_told(
        self, transport: str, make: Make, settings: Any
    ) -> None:
        settings.OPAMP_SECRET_KEY = SECRET
        make(whole={"opamp": {"endpoint": "ws://new.example/v1/opamp"}})

        async def body() -> None:
            agent = prod()
            async with Line(transport, HEADERS) as line:
                told = (await line.tell_all(agent)).connection_settings
                for said in (
                    status(b"x" * 32),
                    status(b"", FAILED, "nothing"),
                    status(b"x" * 5_000, FAILED, "other"),
                    status(told.hash, 77),
                    status(told.hash[:-1]),
                ):
                    reply = await line.exchange(agent.message(**said))
                    assert not members(reply), said
                    assert (await connection_of(agent)).status == "offered"
                error = "\x00\u202e" + "e" * 50_000 + f" Bearer {SECRET}"
                await line.exchange(agent.message(**status(told.hash, FAILED, error)))
                row = await connection_of(agent)
                assert (row.status, len(row.error_message)) == ("failed", 2_000)
                await line.exchange(agent.message(**status(told.hash, APPLYING)))
                assert (await connection_of(agent)).status == "failed"
                await line.exchange(agent.message(**status(told.hash)))
                assert (await connection_of(agent)).status == "applied"

        run(body())
