"""Detached Ed25519 signatures of packages' files: over the 32 bytes of a file's SHA-256, so that no file has to be in memory.

Private keys are nowhere in this program (S-114).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_KEY_BYTES, _SIGNATURE_BYTES = 32, 64


def public_key(text: str) -> Ed25519PublicKey | None:
    """The key of 32 bytes in base64; ``None`` for anything else."""
    raw = _decoded(text)
    return Ed25519PublicKey.from_public_bytes(raw) if raw is not None and len(raw) == _KEY_BYTES else None


def signature_of(text: str) -> bytes | None:
    """The 64 bytes that ``text`` has in base64; ``None`` for anything else."""
    raw = _decoded(text)
    return raw if raw is not None and len(raw) == _SIGNATURE_BYTES else None


def is_signed(sha256: str, signature: bytes, keys: Sequence[str]) -> bool:
    """Whether one of ``keys`` made ``signature`` of this digest (hex)."""
    for text in keys:
        key = public_key(text)
        if key is None:
            continue
        try:
            key.verify(signature, bytes.fromhex(sha256))
        except InvalidSignature:
            continue
        return True
    return False


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
