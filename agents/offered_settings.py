"""Members of ``connection_settings`` beside the heartbeat: what an agent is told of destinations and of TLS. Pure values.

Headers, keys and further settings may be secrets: none of them is part of a ``repr``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """``TLSConnectionSettings``; versions are such as ``1.2``, empty for the agent's own choice."""

    ca_pem: str = ""
    include_system_ca_pool: bool = False
    insecure_skip_verify: bool = False
    min_version: str = ""
    max_version: str = ""
    cipher_suites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProxyOptions:
    """``ProxyConnectionSettings``; ``url`` is not empty (S-79)."""

    url: str
    connect_headers: Headers = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """``TLSCertificate``: a client certificate with its key and who issued it, all PEM."""

    certificate: str
    private_key: str = field(default="", repr=False)
    ca_certificate: str = ""


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
