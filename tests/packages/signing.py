"""Keys that sign files of tests."""

from __future__ import annotations

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def signing_key() -> tuple[Ed25519PrivateKey, str]:
    """A new key, and the public one as the settings have it."""
    key = Ed25519PrivateKey.generate()
    return key, base64.b64encode(key.public_key().public_bytes_raw()).decode()


def signature_by(key: Ed25519PrivateKey, content: bytes) -> str:
    """As an upload has it."""
    return base64.b64encode(key.sign(hashlib.sha256(content).digest())).decode()
