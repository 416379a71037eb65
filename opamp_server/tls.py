"""TLS in the server itself: what the files must hold, the context made of them, and new files while connections stay.

The certificate is looked at with ``cryptography`` before OpenSSL takes it, for OpenSSL's own words help nobody.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from opamp_server.options import TlsFiles

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
# More is no certificate with its chain, nor a list of authorities (bytes).
_LARGEST_FILE = 4 * 1024**2


class TlsProblem(ValueError):
    """A file cannot be used; the text names it and says what to do."""


def certificates_in(path: str) -> list[x509.Certificate]:
    """The certificates of a PEM file, in its order, at least one. Raises `TlsProblem`."""
    data = _content(path)
    try:
        return x509.load_pem_x509_certificates(data)
    except (ValueError, UnsupportedAlgorithm):
        raise TlsProblem(f"{path} holds no certificate in PEM form.") from None


def not_after(path: str) -> datetime:
    """Until when the first certificate of a file is good. Raises `TlsProblem`."""
    return certificates_in(path)[0].not_valid_after_utc


def context_of(files: TlsFiles) -> ssl.SSLContext:
    """A server's context. Raises `TlsProblem` for files that are missing, encrypted, or do not belong together.

    A client certificate is asked for where authorities are given; one that none of them issued ends the handshake, and
    whether one is needed is the application's to say.
    """
    certificates_in(files.certificate)
    if b"PRIVATE KEY" not in _content(files.key):
        raise TlsProblem(f"{files.key} holds no private key in PEM form.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[files.minimum]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(files.certificate, files.key, password=lambda: _is_encrypted(files.key))
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsProblem(f"The key in {files.key} is not that of the certificate in {files.certificate}.") from None
        raise TlsProblem(f"{files.certificate} and {files.key} cannot be used: {error.reason or error}.") from None
    for path in files.client_authorities:
        certificates_in(path)
        context.load_verify_locations(path)
    if files.client_authorities:
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def files_problem(files: TlsFiles, at: datetime | None = None) -> str | None:
    """Why a server may not begin with these files at ``at`` (now), or ``None``."""
    at = at or datetime.now(UTC)
    try:
        context_of(files)
        first = certificates_in(files.certificate)[0]
    except TlsProblem as found:
        return str(found)
    if first.not_valid_after_utc <= at:
        return f"The certificate in {files.certificate} expired at {first.not_valid_after_utc:%Y-%m-%d %H:%M} UTC: renew it."
    if first.not_valid_before_utc > at:
        return (
            f"The certificate in {files.certificate} is good from {first.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on: "
            "see the clock of this machine."
        )
    return None


class LiveContext:
    """The context of a running server, whose files may be replaced: `reload` makes new connections use what they hold then.

    uvicorn calls it for the context. Connections that are open keep the certificate they began with.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._first: ssl.SSLContext | None = None
        self._current: ssl.SSLContext | None = None

    def __call__(self, _config: object = None, _default: Callable[[], ssl.SSLContext] | None = None) -> ssl.SSLContext:
        """The context to listen with. Raises `TlsProblem`."""
        self._first = self._current = context_of(self._files)
        return self._first

    def reload(self) -> None:
        """Read the files anew. Raises `TlsProblem`, and goes on as it was.

        The listener keeps its first context, so each handshake is led to the present one: loading other files into the first
        would leave a key of another type in it, and half of a pair that does not match.
        """
        found = files_problem(self._files)
        if found is not None:
            raise TlsProblem(found)
        self._current = context_of(self._files)
        if self._first is not None:
            self._first.sni_callback = self._lead

    def _lead(self, connection: Any, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current


def _content(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise TlsProblem(f"{path} cannot be read: {error.strerror or error}.") from None
    if len(data) > _LARGEST_FILE:
        raise TlsProblem(f"{path} is too large for a file of certificates.")
    return data


def _is_encrypted(path: str) -> NoReturn:
    raise TlsProblem(f"The key in {path} is encrypted, and nobody is there to type its password: give it decrypted.")
