"""Addresses, headers and TLS options as people write them: what is wrong with each, as messages. Pure.

Agents connect there, not this server, so private addresses are fine; schemes that lead nowhere are not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import SplitResult, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from foundation.messages import Message

LONGEST_URL = 2_000
LONGEST_VALUE = 8_192
LONGEST_PEM = 65_536
MOST_HEADERS = 64
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]+")
_HOST = re.compile(r"[A-Za-z0-9._~%:-]{1,255}")
_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_HARMFUL = re.compile(r"(?:javascript|file|data|vbscript|about|blob):", re.IGNORECASE)
_HOST_AND_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,255}):[0-9]{1,5}")
_SUITE = re.compile(r"[A-Z0-9_]{3,80}")
_PEM_LABEL = re.compile(r"-----BEGIN ([^\r\n-]*)-----")
_VERSIONS = ("1.0", "1.1", "1.2", "1.3")
# Agents set these themselves; a second one breaks the request.
_TAKEN = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "content-type"})
_TAKEN_BY_SOCKETS = "sec-websocket-"

DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_OPAMP_SCHEMES = ("ws", "wss", "http", "https")
_PROXY_SCHEMES = ("http", "https", "socks5")


class Wrong(Exception):
    """A value that cannot be used; ``message`` says why."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def opamp_endpoint(text: str) -> str:
    """A whole ``ws``, ``wss``, ``http`` or ``https`` URL (S-79)."""
    _url(text, _OPAMP_SCHEMES)
    return text


def telemetry_endpoint(text: str) -> str:
    """A whole ``http`` or ``https`` URL with a path, for nothing is added to it (S-79)."""
    parts = _url(text, ("http", "https"))
    if parts.path in ("", "/"):
        raise Wrong(
            Message(
                "endpoint-without-path",
                "Write the whole URL with its path, such as https://collector.example:4318/v1/metrics.",
            )
        )
    return text


def other_endpoint(text: str) -> str:
    """Whatever the agent takes for a destination, but nothing that runs or reads files, and no credentials."""
    _printable(text)
    if _HARMFUL.match(text):
        raise _other_scheme(("https", "http"))
    scheme, found, rest = text.partition("://")
    if "@" in re.split(r"[/?#]", rest if found else scheme, maxsplit=1)[0]:
        raise _with_credentials()
    return text


def proxy_address(text: str) -> str:
    """A URL, or host and port."""
    _printable(text)
    if not _HOST_AND_PORT.fullmatch(text):
        _url(text, _PROXY_SCHEMES)
    return text


def origin_of(url: str) -> str:
    """``http://host:port`` or ``https://…`` of a URL, so that two ways to write one place are the same; empty for none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not host or parts.scheme not in DEFAULT_PORTS:
        return ""
    scheme = "https" if parts.scheme in ("https", "wss") else "http"
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port or DEFAULT_PORTS[scheme]}"


def same_place(one: str, other: str) -> bool:
    """Whether two URLs of this protocol lead to the same server in the same way."""
    first, second = urlsplit(one), urlsplit(other)
    return (first.scheme, first.path or "/", first.query) == (second.scheme, second.path or "/", second.query) and (
        origin_of(one) == origin_of(other) != ""
    )


def is_over_tls(url: str) -> bool:
    """True for ``https`` and ``wss``."""
    return url.lower().startswith(("https:", "wss:"))


def header_problems(headers: Mapping[str, str]) -> dict[str, Message]:
    """What is wrong with each header, by its name; names count without case."""
    found: dict[str, Message] = {}
    seen: set[str] = set()
    for name, value in headers.items():
        shown = name[:80]
        if not _HEADER_NAME.fullmatch(name):
            found[shown] = Message("header-name", "This is no name of a header.")
        elif name.lower() in _TAKEN or name.lower().startswith(_TAKEN_BY_SOCKETS):
            found[shown] = Message("header-taken", "Agents set this header themselves.")
        elif name.lower() in seen:
            found[shown] = Message("header-twice", "Each header is named once.")
        elif len(value) > LONGEST_VALUE:
            found[shown] = Message(
                "header-too-long", "The value of a header has at most {most} characters.", most=LONGEST_VALUE
            )
        elif not _HEADER_VALUE.fullmatch(value) or value != value.strip():
            found[shown] = Message(
                "header-value", "Values of headers have one to many printable ASCII characters, and no line breaks."
            )
        seen.add(name.lower())
    return found


def tls_version(text: str) -> str:
    """``1.2`` of ``TLSv1.2``; empty stays."""
    plain = text.removeprefix("TLSv").removeprefix("TLS")
    if plain and plain not in _VERSIONS:
        raise Wrong(Message("tls-version", "Write one of these: {known}.", known=", ".join(_VERSIONS)))
    return plain


def cipher_suite(text: str) -> str:
    """An IANA name."""
    if not _SUITE.fullmatch(text):
        raise Wrong(Message("cipher-suite", "Write the IANA name, such as TLS_AES_128_GCM_SHA256."))
    return text


def pem_certificates(pem: str) -> list[x509.Certificate]:
    """The certificates of a PEM text, which people see again: nothing else may stand in it, least of all a key."""
    _check_length(pem)
    if not {"CERTIFICATE", "X509 CERTIFICATE"}.issuperset(_PEM_LABEL.findall(pem)):
        raise Wrong(
            Message(
                "pem-of-something-else", "Write certificates alone here: there is a key, or something else, among them."
            )
        )
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise Wrong(
            Message("no-certificate", "This is no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----.")
        ) from error


def are_in_their_time(pem: str, at: datetime) -> bool:
    """Whether all certificates of a PEM text are good then; what cannot be read was taken by a former version."""
    try:
        return all(one.not_valid_before_utc <= at <= one.not_valid_after_utc for one in pem_certificates(pem))
    except Wrong:
        return True


def check_key(pem: str, certificate: x509.Certificate) -> None:
    """Raises `Wrong` where ``pem`` is not the unencrypted private key of ``certificate``."""
    _check_length(pem)
    try:
        key: Any = load_pem_private_key(pem.encode(), None)
        same = key.public_key() == certificate.public_key()
    except (ValueError, TypeError, AttributeError) as error:
        raise Wrong(Message("no-private-key", "This is no private key in PEM without a password.")) from error
    if not same:
        raise Wrong(Message("foreign-key", "This is not the key of the certificate."))


def _url(text: str, schemes: tuple[str, ...]) -> SplitResult:
    _printable(text)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _unreadable() from error
    if parts.scheme not in schemes:
        raise _other_scheme(schemes)
    if "@" in parts.netloc:
        raise _with_credentials()
    if not host or not _HOST.fullmatch(host) or port == 0:
        raise Wrong(Message("endpoint-without-host", "The URL names no host."))
    if parts.fragment or text.endswith("#"):
        raise Wrong(Message("endpoint-fragment", "A URL of a server has no part after #."))
    return parts


def _printable(text: str) -> None:
    if len(text) > LONGEST_URL:
        raise Wrong(Message("endpoint-too-long", "At most {most} characters.", most=LONGEST_URL))
    if not _PRINTABLE.fullmatch(text):
        raise _unreadable()


def _with_credentials() -> Wrong:
    return Wrong(
        Message(
            "endpoint-with-credentials", "Credentials do not belong into the URL, where logs show them: use a header."
        )
    )


def _check_length(pem: str) -> None:
    if len(pem) > LONGEST_PEM:
        raise Wrong(Message("pem-too-long", "A certificate has at most {most} characters.", most=LONGEST_PEM))


def _unreadable() -> Wrong:
    return Wrong(Message("endpoint-unreadable", "This is no URL."))


def _other_scheme(schemes: tuple[str, ...]) -> Wrong:
    return Wrong(
        Message("endpoint-scheme", "Addresses begin with one of these: {schemes}.", schemes=", ".join(schemes))
    )
