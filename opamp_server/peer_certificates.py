"""What an ASGI scope says of TLS: the extension ``tls`` of the specification, as far as this server knows it."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

TLS = "tls"
_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


def tls_extension(transport: asyncio.BaseTransport) -> dict[str, Any] | None:
    """The extension's value, ``None`` without TLS. A client certificate that is named there was verified."""
    connection = transport.get_extra_info("ssl_object")
    if connection is None:
        return None
    shown = connection.getpeercert(binary_form=True)
    return {
        "server_cert": None,
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(shown)] if shown else [],
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": _VERSIONS.get(connection.version() or ""),
        "cipher_suite": None,
    }
