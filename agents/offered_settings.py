"""What all members of ``connection_settings`` may say: headers, TLS, a proxy. Pure values.

``fields`` are those of the protocol's message, by its own names (`agents.replies.ReplyMember`). Headers may be secrets: they are
no part of a ``repr``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Headers = tuple[tuple[str, str], ...]


def header_fields(headers: Headers) -> dict[str, Any]:
    """``Headers``."""
    return {"headers": [{"key": name, "value": value} for name, value in headers]}


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """``TLSConnectionSettings``; versions are such as ``1.2``, empty for the agent's own choice."""

    ca_pem: str = ""
    include_system_ca_pool: bool = False
    insecure_skip_verify: bool = False
    min_version: str = ""
    max_version: str = ""
    cipher_suites: tuple[str, ...] = ()

    def fields(self) -> dict[str, Any]:
        """``TLSConnectionSettings``."""
        return {
            "ca_pem_contents": self.ca_pem,
            "include_system_ca_certs_pool": self.include_system_ca_pool,
            "insecure_skip_verify": self.insecure_skip_verify,
            "min_version": self.min_version,
            "max_version": self.max_version,
            "cipher_suites": self.cipher_suites,
        }


@dataclass(frozen=True, slots=True)
class ProxyOptions:
    """``ProxyConnectionSettings``; ``url`` is not empty (S-79)."""

    url: str
    connect_headers: Headers = field(default=(), repr=False)

    def fields(self) -> dict[str, Any]:
        """``ProxyConnectionSettings``."""
        found: dict[str, Any] = {"url": self.url}
        return {**found, "connect_headers": header_fields(self.connect_headers)} if self.connect_headers else found
