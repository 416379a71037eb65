"""What the portal's settings say of agents' certificates. Pure."""

from __future__ import annotations

import enum
import ipaddress
from dataclasses import dataclass, field
from datetime import timedelta

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class CertificatePolicy(enum.StrEnum):
    """Who approves the requests for certificates that agents send."""

    OFF = "off"
    MANUAL = "manual"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class CertificateOptions:
    """``policy``: who approves; ``required``: agents must show a certificate; ``header`` brings the one a proxy verified.

    Exactly one of ``ca_key`` (beside ``ca_cert``, both paths), ``command`` and ``url`` signs where the policy is not off;
    ``ca_cert`` may stand alone, as what signed certificates are checked against and sent along. ``proxies`` are those whose
    ``header`` counts. ``client_ca`` is a path of further authorities.
    """

    policy: CertificatePolicy = CertificatePolicy.OFF
    required: bool = False
    header: str = ""
    proxies: tuple[Network, ...] = ()
    client_ca: str = ""
    ca_cert: str = ""
    ca_key: str = ""
    command: tuple[str, ...] = ()
    url: str = ""
    token: str = field(default="", repr=False)
    lifetime: timedelta = timedelta(days=90)

    @property
    def offered(self) -> bool:
        """Whether agents may ask for certificates."""
        return self.policy is not CertificatePolicy.OFF

    @property
    def authorities(self) -> tuple[str, ...]:
        """Paths of the authorities whose certificates agents may show."""
        return tuple(dict.fromkeys(path for path in (self.client_ca, self.ca_cert) if path))
