"""What tests of agents' certificates share: an authority that signs, keys that ask, and what became of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from django.utils import timezone
from pytest_django import Settings

from certificates.models import AgentCertificate
from certificates.portal_options import CertificateOptions, CertificatePolicy
from certificates.services import signing
from opamp_transport.proto import opamp_pb2
from tests.certificate_files import Authority, new_key, pem_of_key

AUTHORITY = Authority.made()


def options_of(folder: Path, policy: CertificatePolicy = CertificatePolicy.MANUAL, **more: Any) -> CertificateOptions:
    """An authority with its key in a file."""
    key = folder / "ca.key"
    key.write_bytes(pem_of_key(AUTHORITY.key))
    return CertificateOptions(policy=policy, ca_cert=str(AUTHORITY.write(folder)), ca_key=str(key), **more)


def change(settings: Settings, **options: Any) -> None:
    """Replace some of the options."""
    settings.OPAMP_CERTIFICATES = replace(settings.OPAMP_CERTIFICATES, **options)


def csr_of(key: Any = None, *, name: str = "an agent", uris: tuple[str, ...] = (), extensions: Any = ()) -> bytes:
    """A request in PEM form, signed with ``key``."""
    key = key or new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if uris:
        names = [x509.UniformResourceIdentifier(uri) for uri in uris]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    hashed = hashes.SHA256() if hasattr(key, "curve") or hasattr(key, "key_size") else None
    return builder.sign(key, hashed).public_bytes(serialization.Encoding.PEM)


def asking(csr: bytes) -> dict[str, Any]:
    """The part of a message that asks for a certificate."""
    request = opamp_pb2.ConnectionSettingsRequest()
    request.opamp.certificate_request.csr = csr
    return {"connection_settings_request": request}


def row_of(uid: UUID) -> AgentCertificate:
    """The agent's newest row."""
    return AgentCertificate.objects.filter(instance_uid=uid).select_related("agent").latest("pk")


row_now = sync_to_async(row_of)


@sync_to_async
def sign_now() -> None:
    """What the leading process does now and then."""
    signing.sign_waiting(timezone.now())
