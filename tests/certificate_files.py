"""Certificates for tests: an authority, and what it signs, as files and bytes. EC keys, since they are made at once."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key."""
    return ec.generate_private_key(ec.SECP256R1())


def pem_of_key(key: Any, password: bytes | None = None) -> bytes:
    """The key in PEM form."""
    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        protection = serialization.BestAvailableEncryption(password)
    return bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection))


def pem_of(certificate: x509.Certificate) -> bytes:
    """The certificate in PEM form."""
    return certificate.public_bytes(serialization.Encoding.PEM)


@dataclass
class Authority:
    """Who signs."""

    key: Any
    certificate: x509.Certificate

    @classmethod
    def made(cls, name: str = "tests") -> Authority:
        """A new one."""
        key = new_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, subject, key, datetime.now(UTC) - DAY, datetime.now(UTC) + 100 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        return cls(key, builder.sign(key, hashes.SHA256()))

    def sign(
        self,
        key: Any,
        *,
        common_name: str = "127.0.0.1",
        uris: tuple[str, ...] = (),
        begin: datetime | None = None,
        end: datetime | None = None,
    ) -> x509.Certificate:
        """A certificate for ``key``: of a server on 127.0.0.1, or of whom ``uris`` name."""
        begin, end = begin or datetime.now(UTC) - DAY, end or datetime.now(UTC) + 30 * DAY
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
        if common_name == "127.0.0.1":
            names += [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        builder = _builder(subject, self.certificate.subject, key, begin, end)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def of_agent(self, uid: UUID, key: Any, **options: Any) -> x509.Certificate:
        """A certificate that speaks for the agent ``uid``."""
        return self.sign(key, common_name="an agent", uris=(f"urn:opamp:agent:{uid}",), **options)

    def write(self, folder: Path, name: str = "ca") -> Path:
        """Its certificate as a file."""
        path = folder / f"{name}.pem"
        path.write_bytes(pem_of(self.certificate))
        return path

    def write_server(self, folder: Path, name: str = "server", **options: Any) -> tuple[Path, Path]:
        """A server's certificate and key as files."""
        key = options.pop("key", None) or new_key()
        cert, key_file = folder / f"{name}.pem", folder / f"{name}.key"
        cert.write_bytes(pem_of(self.sign(key, **options)))
        key_file.write_bytes(pem_of_key(key))
        return cert, key_file


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """An RSA key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Any, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    return builder.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)
