"""What is taken of a CSR, and what is refused (S-85 … S-87)."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519

from certificates.requests import LARGEST, BadRequest, read_request
from tests.certificate_files import new_key, rsa_key
from tests.certificates.asking import csr_of

pytestmark = pytest.mark.rule("S-85", "S-86", "S-87")
UID = UUID("0190b0a0-0000-7000-8000-000000000001")


def refused(csr: bytes) -> str:
    with pytest.raises(BadRequest) as caught:
        read_request(csr, UID)
    return caught.value.code


def test_good_keys_are_taken() -> None:
    for key, words in (
        (new_key(), "P-256"),
        (ec.generate_private_key(ec.SECP384R1()), "P-384"),
        (rsa_key(), "RSA 2048"),
        (ed25519.Ed25519PrivateKey.generate(), "Ed25519"),
    ):
        found = read_request(csr_of(key), UID)
        assert found.key_type == words
        assert len(found.key_sha256) == 64
    same = new_key()
    assert read_request(csr_of(same), UID).key_sha256 == read_request(csr_of(same, name="other"), UID).key_sha256


def test_others_are_not() -> None:
    for key in (
        rsa_key(1024),
        ec.generate_private_key(ec.SECP256K1()),
        ec.generate_private_key(ec.SECP224R1()),
        dsa.generate_private_key(2048),
    ):
        assert refused(csr_of(key)) == "csr-weak-key"


def test_the_signature_must_be_that_of_the_key() -> None:
    csr = csr_of()
    lines = csr.splitlines()
    import base64

    der = bytearray(base64.b64decode(b"".join(lines[1:-1])))
    at = der.index(b"an agent")
    der[at : at + 8] = b"AN AGENT"
    body = base64.b64encode(bytes(der))
    assert refused(b"\n".join([lines[0], body, lines[-1]]) + b"\n") == "csr-unsigned"


def test_what_is_no_request() -> None:
    assert refused(b"") == "csr-missing"
    assert refused(b"x" * (LARGEST + 1)) == "csr-too-large"
    for csr in (
        b"\0",
        b"nonsense",
        csr_of()[:200],
        csr_of().replace(b"CERTIFICATE REQUEST", b"CERTIFICATE"),
        b"\xff" * 99,
    ):
        assert refused(csr) == "csr-unreadable"


def test_it_names_its_sender_or_nobody() -> None:
    other = uuid4()
    assert read_request(csr_of(name=str(UID)), UID)
    assert read_request(csr_of(uris=(f"urn:opamp:agent:{UID}", "spiffe://example.org/a")), UID)
    assert refused(csr_of(name=str(other))) == "csr-of-another"
    assert refused(csr_of(uris=(f"urn:opamp:agent:{other}",))) == "csr-of-another"
    assert refused(csr_of(uris=(f"urn:opamp:agent:{UID}", f"URN:OPAMP:AGENT:{other}"))) == "csr-of-another"
