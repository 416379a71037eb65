"""Which agent a client certificate speaks for. Pure.

A SAN of the form ``urn:opamp:agent:<instance uid>`` says it; where there is none, a common name that is a uid.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_URN = "urn:opamp:agent:"


class Named(NamedTuple):
    """What a certificate says: its agent, ``None`` for none or several; until when; and the digest of what was signed.

    The digest leaves the signature out, of which there can be several spellings.
    """

    instance_uid: UUID | None
    digest: str
    not_before: datetime
    not_after: datetime

    def is_good(self, at: datetime) -> bool:
        """Whether ``at`` lies in its time."""
        return self.not_before <= at <= self.not_after


def urn_of(instance_uid: UUID) -> str:
    """The SAN of an agent's certificate."""
    return f"{_URN}{instance_uid}"


def named_in(certificate: x509.Certificate) -> Named:
    """What ``certificate`` says. Raises ValueError for one with extensions that cannot be read."""
    return Named(
        _agent_of(_names(certificate), certificate.subject),
        digest_of(certificate),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )


def digest_of(certificate: x509.Certificate) -> str:
    """What tells certificates apart, 64 hexadecimal digits."""
    return hashlib.sha256(certificate.tbs_certificate_bytes).hexdigest()


def named_by_request(request: x509.CertificateSigningRequest) -> set[str]:
    """What a request names of agents: all URNs of ours, and a common name that is a uid. Raises ValueError."""
    named = {uri.lower() for uri in _names(request) if uri.lower().startswith(_URN)}
    uid = _common_uid(request.subject)
    return named if uid is None else named | {urn_of(uid)}


def is_issued_by(certificate: x509.Certificate, authorities: Sequence[x509.Certificate]) -> bool:
    """Whether one of ``authorities`` signed it directly, for clients."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        pass
    else:
        if ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
            return False
    return any(_signed(certificate, authority) for authority in authorities if _is_authority(authority))


def _signed(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _agent_of(uris: Sequence[str], subject: x509.Name) -> UUID | None:
    named = {uri.lower() for uri in uris if uri.lower().startswith(_URN)}
    if not named:
        return _common_uid(subject)
    return _uid(named.pop().removeprefix(_URN)) if len(named) == 1 else None


def _names(signed: x509.Certificate | x509.CertificateSigningRequest) -> list[str]:
    try:
        names = signed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def _common_uid(subject: x509.Name) -> UUID | None:
    found = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return _uid(str(found[0].value)) if len(found) == 1 else None


def _uid(text: str) -> UUID | None:
    """A uid in its usual spelling alone, so that there is one spelling of each."""
    try:
        uid = UUID(text)
    except ValueError:
        return None
    return uid if str(uid) == text.lower() else None
