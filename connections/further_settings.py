"""What agents are told beside their connection to this server: own telemetry and other connections. Pure values.

Headers, keys and further settings may be secrets: none of them is part of a ``repr``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.offered_settings import Headers, ProxyOptions, TlsOptions, header_fields
from agents.replies import Reply


@dataclass(frozen=True, slots=True)
class KeyPair:
    """``TLSCertificate``: a client certificate with its key and who issued it, all PEM."""

    certificate: str
    private_key: str = field(default="", repr=False)
    ca_certificate: str = ""

    def fields(self) -> dict[str, Any]:
        """``TLSCertificate``."""
        return {
            "cert": self.certificate.encode(),
            "private_key": self.private_key.encode(),
            "ca_cert": self.ca_certificate.encode(),
        }


@dataclass(frozen=True, slots=True)
class Destination:
    """``TelemetryConnectionSettings`` or ``OtherConnectionSettings``.

    An empty ``endpoint`` switches a telemetry member off that was told before. ``other_settings`` are of other connections.
    """

    endpoint: str = ""
    headers: Headers = field(default=(), repr=False)
    certificate: KeyPair | None = None
    tls: TlsOptions | None = None
    proxy: ProxyOptions | None = None
    other_settings: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def fields(self) -> dict[str, Any]:
        """Those that are said; a destination without any is one that is switched off (S-80)."""
        found: dict[str, Any] = {"destination_endpoint": self.endpoint}
        if self.headers:
            found["headers"] = header_fields(self.headers)
        if self.other_settings:
            found["other_settings"] = dict(self.other_settings)
        for name, part in (("certificate", self.certificate), ("tls", self.tls), ("proxy", self.proxy)):
            if part is not None:
                found[name] = part.fields()
        return found


@dataclass(frozen=True, slots=True)
class FurtherSettings:
    """The members of one message beside ``opamp``; those left out stay as they are (S-80).

    ``settings_hash`` is that of the message, which covers all that the agent should have (S-78).
    """

    settings_hash: bytes
    own_metrics: Destination | None = None
    own_traces: Destination | None = None
    own_logs: Destination | None = None
    others: Mapping[str, Destination] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """``connection_settings``, as `agents.replies.ReplyMember`."""
        found: dict[str, Any] = {"hash": self.settings_hash}
        telemetry = {"own_metrics": self.own_metrics, "own_traces": self.own_traces, "own_logs": self.own_logs}
        found |= {name: each.fields() for name, each in telemetry.items() if each is not None}
        if self.others:
            found["other_connections"] = {name: other.fields() for name, other in self.others.items()}
        return {"connection_settings": found}


def further_settings_of(reply: Reply) -> FurtherSettings | None:
    """Those that ``reply`` carries."""
    return next((member for member in reply.further if isinstance(member, FurtherSettings)), None)
