"""Making an agent's certificate: what it says is decided here, and what others signed is checked for it (S-85, S-114)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certificates.identity import is_issued_by, named_in, urn_of
from certificates.requests import KeyRequest, fingerprint_of

# Clocks of agents may be behind.
_EARLIER = timedelta(minutes=5)
# A signer that counts whole days may give a little more.
_SLACK = timedelta(days=1)


class CannotSign(Exception):
    """The signer failed, or made something else than was asked for; the text is for logs and administrators."""


def sign(
    request: KeyRequest, instance_uid: UUID, *, authority: x509.Certificate, key: Any, at: datetime, lifetime: timedelta
) -> x509.Certificate:
    """A certificate of the agent for the key in ``request``, signed with ``key``, which is that of ``authority``.

    It ends no later than the authority's own. Raises `CannotSign`.
    """
    if fingerprint_of(key.public_key()) != fingerprint_of(authority.public_key()):
        raise CannotSign("OPAMP_CA_KEY is not the key of OPAMP_CA_CERT.")
    end = min(at + lifetime, authority.not_valid_after_utc)
    if end <= at:
        raise CannotSign("The certificate of the authority in OPAMP_CA_CERT has expired.")
    try:
        public = x509.load_pem_x509_csr(request.pem.encode()).public_key()
    except ValueError as error:
        raise CannotSign("The stored request cannot be read.") from error
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(instance_uid))]))
        .issuer_name(authority.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - _EARLIER)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_USAGE, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(urn_of(instance_uid))]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(_issuer_key(authority), critical=False)
    )
    plain = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return builder.sign(key, None if plain else hashes.SHA256())


def must_fit(
    certificate: x509.Certificate,
    request: KeyRequest,
    instance_uid: UUID,
    *,
    authorities: Sequence[x509.Certificate],
    at: datetime,
    lifetime: timedelta,
) -> None:
    """Raises `CannotSign` where a certificate is not what was asked for: its key, its agent, its authority, its time."""
    try:
        problem = _misfit(certificate, request, instance_uid, authorities, at, lifetime)
    except ValueError as error:
        problem = f"it cannot be read: {error}"
    if problem:
        raise CannotSign(f"The signed certificate is not taken: {problem}.")


def _misfit(
    certificate: x509.Certificate,
    request: KeyRequest,
    instance_uid: UUID,
    authorities: Sequence[x509.Certificate],
    at: datetime,
    lifetime: timedelta,
) -> str:
    named = named_in(certificate)
    if fingerprint_of(certificate.public_key()) != request.key_sha256:
        return "it is for another key"
    if named.instance_uid != instance_uid:
        return f"it does not name the agent: {urn_of(instance_uid)} must be its SAN"
    if not is_issued_by(certificate, authorities):
        return "it is not signed for clients by the authority in OPAMP_CA_CERT"
    if _may_sign(certificate):
        return "it may sign others"
    if not named.is_good(at):
        return "it is not good now"
    if named.not_after > at + lifetime + _SLACK:
        return "it is good for longer than OPAMP_CERTIFICATE_DAYS"
    return ""


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _issuer_key(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        found = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found)


_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
