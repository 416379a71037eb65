"""Who signs: the authority's key in a file, a command, or a service over HTTP; all of them within bounds (S-114)."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from django.conf import settings

from certificates.issuing import CannotSign, must_fit, sign
from certificates.portal_options import CertificateOptions
from certificates.requests import KeyRequest

# Longer nobody waits for another's signature (seconds), and more is no certificate with its chain (bytes).
SECONDS = 20.0
_MOST_BYTES = 64 * 1024
_LARGEST_FILE = 1024 * 1024


def signed(request: KeyRequest, instance_uid: UUID, at: datetime) -> x509.Certificate:
    """A certificate that fits the request. Raises `CannotSign`."""
    options: CertificateOptions = settings.OPAMP_CERTIFICATES
    authorities = _certificates(_content(options.ca_cert, "OPAMP_CA_CERT"), "OPAMP_CA_CERT")
    if options.ca_key:
        key = _key(_content(options.ca_key, "OPAMP_CA_KEY"))
        made = sign(request, instance_uid, authority=authorities[0], key=key, at=at, lifetime=options.lifetime)
    else:
        said = (
            _of_command(options, request, instance_uid) if options.command else _of_url(options, request, instance_uid)
        )
        made = _certificates(said, "the answer")[0]
    must_fit(made, request, instance_uid, authorities=authorities, at=at, lifetime=options.lifetime)
    return made


def authority_pem() -> bytes:
    """The certificates in OPAMP_CA_CERT, that agents are sent beside their own. Raises `CannotSign`."""
    found = _certificates(_content(settings.OPAMP_CERTIFICATES.ca_cert, "OPAMP_CA_CERT"), "OPAMP_CA_CERT")
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in found)


def _of_command(options: CertificateOptions, request: KeyRequest, instance_uid: UUID) -> bytes:
    """What the command writes to its standard output; it reads the CSR from its standard input."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment |= {"OPAMP_INSTANCE_UID": str(instance_uid), "OPAMP_LIFETIME_DAYS": str(options.lifetime.days)}
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as output:
        asked.write(request.pem.encode())
        asked.seek(0)
        try:
            running = subprocess.Popen(  # noqa: S603  the operator names the command
                options.command,
                stdin=asked,
                stdout=output,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise CannotSign(f"OPAMP_CA_COMMAND cannot be run: {error.strerror or error}.") from None
        with contextlib.suppress(OSError):
            resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (4 * _MOST_BYTES, 4 * _MOST_BYTES))
        try:
            status = running.wait(SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            raise CannotSign(f"OPAMP_CA_COMMAND did not end within {SECONDS:.0f} seconds.") from None
        if status:
            raise CannotSign(f"OPAMP_CA_COMMAND ended with status {status}; the server's log has what it wrote.")
        output.seek(0)
        said = output.read(_MOST_BYTES + 1)
    if len(said) > _MOST_BYTES:
        raise CannotSign("OPAMP_CA_COMMAND wrote too much.")
    return said


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A CSR goes where the operator said, and nowhere else."""

    def redirect_request(self, *_args: Any, **_fields: Any) -> None:
        """None is followed."""


def _of_url(options: CertificateOptions, request: KeyRequest, instance_uid: UUID) -> bytes:
    """What the service answers to a POST of the CSR."""
    headers = {
        "Content-Type": "application/x-pem-file",
        "Accept": "application/x-pem-file",
        "OpAMP-Instance-UID": str(instance_uid),
        "OpAMP-Lifetime-Days": str(options.lifetime.days),
    }
    if options.token:
        headers["Authorization"] = f"Bearer {options.token}"
    asked = urllib.request.Request(options.url, data=request.pem.encode(), headers=headers)  # noqa: S310  checked in settings
    opener = urllib.request.build_opener(_NoRedirects, urllib.request.ProxyHandler({}))
    until, said = time.monotonic() + SECONDS, b""
    try:
        with opener.open(asked, timeout=SECONDS / 2) as answer:
            while len(said) <= _MOST_BYTES and (part := answer.read1(8192)):
                said += part
                if time.monotonic() > until:
                    raise CannotSign(f"OPAMP_CA_URL did not answer within {SECONDS:.0f} seconds.")
    except urllib.error.HTTPError as error:
        with error:
            raise CannotSign(f"OPAMP_CA_URL answered with status {error.code}.") from None
    except OSError as error:
        raise CannotSign(f"OPAMP_CA_URL cannot be reached: {getattr(error, 'reason', error)}.") from None
    if len(said) > _MOST_BYTES:
        raise CannotSign("OPAMP_CA_URL answered with too much.")
    return said


def _content(path: str, name: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(_LARGEST_FILE)
    except OSError as error:
        raise CannotSign(f"{name} cannot be read: {error.strerror or error}.") from None


def _certificates(pem: bytes, name: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise CannotSign(f"There is no certificate in PEM form in {name}.") from None


def _key(pem: bytes) -> Any:
    try:
        return serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CannotSign("OPAMP_CA_KEY is no private key in PEM form, or encrypted.") from None
