"""Client certificates that agents show: of TLS in this server, or in a header of a proxy that verified them (S-23, S-117).

Which agent one speaks for is read here, and proven by whoever did TLS. Whether it was revoked, rows say.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from django.conf import settings

from agents.credentials import ClientCertificate
from certificates.identity import Named, is_issued_by, named_in
from foundation.clock import clock
from opamp_server.tls import certificates_in
from opamp_transport.admission import Refusal

# A certificate in a header is larger only for no good reason (characters).
_LONGEST = 16 * 1024
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"

Scope = Mapping[str, Any]


def client_certificate(scope: Scope, headers: Mapping[str, str]) -> ClientCertificate | None:
    """The verified certificate of the peer, ``None`` without one that is good now and names an agent."""
    named = _of_tls(scope) or _of_header(scope, headers)
    if named is None or named.instance_uid is None or not named.is_good(clock.now()):
        return None
    return ClientCertificate(named.instance_uid, named.digest)


def refused_certificate(
    scope: Scope, headers: Mapping[str, str], certificate: ClientCertificate | None
) -> Refusal | None:
    """403 for a proxy's header from somebody else, 401 where a certificate must be shown and none is."""
    options = settings.OPAMP_CERTIFICATES
    if options.header and options.header in headers and not _comes_from_proxy(scope):
        return Refusal(
            403,
            "client certificate from a stranger",
            f"The header {options.header} counts from the proxies in OPAMP_CLIENT_CERTIFICATE_PROXIES alone.",
        )
    if options.required and certificate is None:
        return Refusal(
            401,
            "no client certificate",
            "Agents must show a client certificate that names their instance uid; see OPAMP_CLIENT_CERTIFICATES.",
        )
    return None


def _of_tls(scope: Scope) -> Named | None:
    tls = (scope.get("extensions") or {}).get("tls")
    chain = tls.get("client_cert_chain") if tls else None
    return _named(chain[0]) if chain else None


def _of_header(scope: Scope, headers: Mapping[str, str]) -> Named | None:
    options = settings.OPAMP_CERTIFICATES
    text = headers.get(options.header, "") if options.header else ""
    if not text or len(text) > _LONGEST or not _comes_from_proxy(scope):
        return None
    return _verified(text, options.authorities)


def _comes_from_proxy(scope: Scope) -> bool:
    client = scope.get("client")
    try:
        address = ipaddress.ip_address(str(client[0]).partition("%")[0]) if client else None
    except ValueError:
        return False
    if address is None:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return any(mapped in network for network in settings.OPAMP_CERTIFICATES.proxies)


@lru_cache(maxsize=1024)
def _named(pem: str) -> Named | None:
    try:
        return named_in(x509.load_pem_x509_certificate(pem.encode("latin-1", "replace")))
    except (ValueError, UnsupportedAlgorithm):
        return None


@lru_cache(maxsize=1024)
def _verified(text: str, authorities: tuple[str, ...]) -> Named | None:
    """What a certificate says that is checked against ``authorities`` once more: the header proves nothing by itself."""
    try:
        certificate = _read(text)
        if is_issued_by(certificate, [one for path in authorities for one in certificates_in(path)]):
            return named_in(certificate)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return None


def _read(text: str) -> x509.Certificate:
    """The first certificate of PEM with its line ends escaped (nginx) or lost, or of bare base64 (Traefik). Raises ValueError."""
    plain = unquote(text) if "%" in text else text
    if _BEGIN in plain:
        plain = plain.partition(_BEGIN)[2].partition(_END)[0]
    body = "".join(plain.partition(",")[0].split())
    try:
        return x509.load_der_x509_certificate(base64.b64decode(body, validate=True))
    except binascii.Error as error:
        raise ValueError("no base64") from error
