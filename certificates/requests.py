"""Certificate requests of agents (CSR): what is taken of them, and what is wrong with others (S-85 … S-87). Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from uuid import UUID

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from certificates.identity import named_by_request, urn_of
from foundation.errors import DomainError
from foundation.messages import Message

# Bytes; one with an RSA key of 8192 bits has about 3,000.
LARGEST = 16 * 1024
_SMALLEST_RSA, _LARGEST_RSA = 2048, 8192
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}


class BadRequest(DomainError):
    """A CSR that nobody may approve; the text says why."""


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """What is taken of a CSR: the key that its sender has. Everything else in a certificate is decided here.

    ``pem`` is the request written anew, ``key_sha256`` of the public key in DER, ``key_type`` for people.
    """

    pem: str
    key_sha256: str
    key_type: str


def read_request(csr: bytes, instance_uid: UUID) -> KeyRequest:
    """The request of the agent with this uid. Raises `BadRequest`."""
    if not csr:
        raise BadRequest(Message("csr-missing", "The request brings no CSR."))
    if len(csr) > LARGEST:
        raise BadRequest(
            Message("csr-too-large", "The CSR has {size} bytes; at most {most} are taken.", size=len(csr), most=LARGEST)
        )
    try:
        request = x509.load_pem_x509_csr(csr)
        key = request.public_key()
        key_type = _judged(key)
        if not request.is_signature_valid:
            raise BadRequest(Message("csr-unsigned", "The CSR is not signed with the key it brings."))
        named = named_by_request(request)
    except (ValueError, UnsupportedAlgorithm, TypeError):
        raise BadRequest(Message("csr-unreadable", "The CSR cannot be read: send PKCS #10 in PEM form.")) from None
    if named - {urn_of(instance_uid)}:
        raise BadRequest(
            Message(
                "csr-of-another",
                "The CSR names another agent than {instance_uid}, which sends it.",
                instance_uid=str(instance_uid),
            )
        )
    return KeyRequest(request.public_bytes(serialization.Encoding.PEM).decode("ascii"), fingerprint_of(key), key_type)


def fingerprint_of(key: object) -> str:
    """SHA-256 of a public key, 64 hexadecimal digits."""
    der = key.public_bytes(  # type: ignore[attr-defined]  # of any kind
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()


def _judged(key: object) -> str:
    """The key in words. Raises `BadRequest` for one that is too weak, or so large that it keeps others waiting."""
    if isinstance(key, rsa.RSAPublicKey) and _SMALLEST_RSA <= key.key_size <= _LARGEST_RSA:
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "Ed25519"
    raise BadRequest(
        Message(
            "csr-weak-key",
            "The key of the CSR is not taken: use RSA with 2048 to 8192 bits, P-256, P-384, P-521 or Ed25519.",
        )
    )
