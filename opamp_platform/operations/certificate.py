"""The certificate of this server: how long it is good, for health, metrics and the overview."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from foundation.clock import clock
from foundation.messages import Message

# So long before its end people are told.
_NOTICE = timedelta(days=14)
NAME = "opamp_server_certificate_expiry_seconds"
_HELP = "Seconds until the certificate in TLS_CERT expires; below 0 it has."


def expiry() -> datetime | None:
    """Until when the certificate in the file is good; ``None`` without TLS, or where the file cannot be read.

    The file is what the next `SIGHUP` brings into use, so it is renewed and not yet read for a moment at most.
    """
    if settings.OPAMP_TLS is None:
        return None
    from opamp_server.tls import TlsProblem, not_after

    try:
        return not_after(settings.OPAMP_TLS.certificate)
    except TlsProblem:
        return None


def certificate_verdict() -> tuple[bool, str]:
    """Whether the certificate is good for a while, and what to say of it; only with TLS."""
    until = expiry()
    if until is None:
        return False, "the certificate cannot be read: see TLS_CERT"
    left = until - clock.now()
    return left > _NOTICE, f"{'expired' if left <= timedelta() else 'good until'} {until:%Y-%m-%d %H:%M} UTC"


def expiring() -> list[Message]:
    """What people should know of the certificate: that it ends soon, or has ended."""
    until = expiry()
    if until is None or until - clock.now() > _NOTICE:
        return []
    shown = f"{until:%Y-%m-%d %H:%M} UTC"
    if until <= clock.now():
        return [
            Message(
                "server-certificate-expired",
                "The certificate of this server expired at {until}: agents and browsers refuse it. Replace the files of TLS_CERT "
                "and TLS_KEY, and send SIGHUP.",
                until=shown,
            )
        ]
    return [
        Message(
            "server-certificate-expires",
            "The certificate of this server expires at {until}. Replace the files of TLS_CERT and TLS_KEY, and send SIGHUP.",
            until=shown,
        )
    ]


class CertificateCollector(Collector):
    """The gauge, where this server has a certificate."""

    def collect(self) -> list[Metric]:
        """Nothing without TLS."""
        until = expiry()
        if until is None:
            return []
        return [GaugeMetricFamily(NAME, _HELP, value=(until - clock.now()).total_seconds())]
