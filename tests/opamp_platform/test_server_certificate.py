"""What people and programs are told of the server's certificate, and settings of TLS that cannot be meant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from certificates.portal_options import CertificatePolicy
from opamp_platform.environment import Environment, StrangeValue
from opamp_platform.operations.certificate import certificate_verdict, expiring, expiry
from opamp_platform.tls_settings import certificate_options, tls_files
from opamp_server.options import TlsFiles
from tests.certificate_files import Authority

AUTHORITY = Authority.made()


def served(tmp_path: Path, settings: Settings, left: timedelta) -> None:
    now = datetime.now(UTC)
    cert, key = AUTHORITY.write_server(tmp_path, begin=now - timedelta(days=60), end=now + left)
    settings.OPAMP_TLS = TlsFiles(str(cert), str(key))


@pytest.mark.parametrize(
    ("days", "good", "code"),
    [(15, True, []), (13, False, ["server-certificate-expires"]), (-1, False, ["server-certificate-expired"])],
)
def test_the_end_is_told_two_weeks_before(
    tmp_path: Path, settings: Settings, days: int, good: bool, code: list[str]
) -> None:
    served(tmp_path, settings, timedelta(days=days))
    assert [message.code for message in expiring()] == code
    assert certificate_verdict()[0] is good


def test_without_tls_nothing_is_said(settings: Settings, tmp_path: Path) -> None:
    assert settings.OPAMP_TLS is None
    assert expiry() is None
    assert expiring() == []
    settings.OPAMP_TLS = TlsFiles(str(tmp_path / "gone.pem"), "")
    assert expiring() == []
    assert certificate_verdict() == (False, "the certificate cannot be read: see TLS_CERT")


@pytest.mark.django_db
def test_the_overview_metrics_and_health_know_it(admin_client: Client, tmp_path: Path, settings: Settings) -> None:
    served(tmp_path, settings, timedelta(days=3))
    assert "The certificate of this server expires at" in admin_client.get("/admin/").text
    assert "\nopamp_server_certificate_expiry_seconds 2" in admin_client.get("/metrics").text
    checks = admin_client.get("/health/ready").json()["checks"]
    assert checks["certificate"]["status"] == "degraded"
    settings.OPAMP_TLS = None
    assert "opamp_server_certificate_expiry_seconds" not in admin_client.get("/metrics").text
    assert "certificate" not in admin_client.get("/health/ready").json()["checks"]


WRONG: list[tuple[dict[str, str], str]] = [
    ({"TLS_CERT": "a.pem"}, "TLS_CERT and TLS_KEY go together"),
    ({"TLS_KEY": "a.pem"}, "TLS_CERT and TLS_KEY go together"),
    ({"TLS_CERT": "-----BEGIN CERTIFICATE-----", "TLS_KEY": "k"}, "is the path of a file"),
    ({"TLS_MIN_VERSION": "1.1"}, "1.2 or 1.3"),
    ({"OPAMP_CERTIFICATES": "perhaps"}, "off or manual or auto"),
    ({"OPAMP_CERTIFICATES": "auto"}, "needs who signs"),
    ({"OPAMP_CERTIFICATES": "auto", "OPAMP_CA_URL": "https://ca"}, "needs OPAMP_CA_CERT"),
    ({"OPAMP_CA_KEY": "k"}, "without OPAMP_CA_CERT"),
    ({"OPAMP_CA_CERT": "c", "OPAMP_CA_KEY": "k", "OPAMP_CA_COMMAND": "sign"}, "exclude each other"),
    ({"OPAMP_CA_URL": "http://ca.example.org/sign"}, "must be https"),
    ({"OPAMP_CA_URL": "file:///etc/passwd"}, "must be https"),
    ({"OPAMP_CERTIFICATE_DAYS": "0"}, "out of range"),
    ({"OPAMP_CLIENT_CERTIFICATES": "required"}, "nobody can show one"),
    ({"OPAMP_CLIENT_CERTIFICATES": "always"}, "optional or required"),
    ({"OPAMP_CLIENT_CERTIFICATE_HEADER": "a b"}, "no name of a header"),
    ({"OPAMP_CLIENT_CERTIFICATE_HEADER": "x-cert"}, "from a trusted proxy alone"),
    ({"OPAMP_CLIENT_CERTIFICATE_HEADER": "x-cert", "OPAMP_CLIENT_CERTIFICATE_PROXIES": "10.0.0.1"}, "TLS_CLIENT_CA"),
    ({"OPAMP_CLIENT_CERTIFICATE_PROXIES": "proxy.example.org"}, "Write 192.0.2.7"),
    ({"TLS_CERT": "c", "TLS_KEY": "k", "TLS_CLIENT_CA": "a", "OPAMP_SERVER": "stock"}, "OPAMP_SERVER=own"),
]


@pytest.mark.parametrize(("said", "text"), WRONG)
def test_a_strange_setting_stops_the_start(said: dict[str, str], text: str) -> None:
    env = Environment(said)
    with pytest.raises(StrangeValue, match=text):
        tls_files(env, certificate_options(env, proxies=1))


def test_what_is_meant_is_taken() -> None:
    said: dict[str, Any] = {
        "TLS_CERT": "c", "TLS_KEY": "k", "TLS_CLIENT_CA": "a", "OPAMP_CA_CERT": "o", "OPAMP_CERTIFICATES": "auto",
        "OPAMP_CA_COMMAND": "sign --profile 'an agent'", "OPAMP_CLIENT_CERTIFICATES": "required",
        "OPAMP_CLIENT_CERTIFICATE_HEADER": "X-Cert", "OPAMP_CLIENT_CERTIFICATE_PROXIES": "10.0.0.0/8, ::1",
    }  # fmt: skip
    env = Environment(said)
    options = certificate_options(env, proxies=1)
    assert options.policy is CertificatePolicy.AUTO
    assert options.command == ("sign", "--profile", "an agent")
    assert options.required
    assert options.header == "x-cert"
    assert len(options.proxies) == 2
    assert tls_files(env, options) == TlsFiles("c", "k", "1.2", ("a", "o"))
    for url in ("https://ca.example.org/sign", "http://127.0.0.1:8081/sign", "http://localhost/sign"):
        env = Environment({"OPAMP_CA_URL": url})
        assert certificate_options(env, proxies=0).url == url
