"""Secrets at rest: encrypted by the newest key, read by any of those that the settings name. It must not know rows.

Each key of the settings may be any long text; what is used is derived from it (HKDF), and encrypts with a time stamp and an
authentication code (Fernet: AES-128-CBC with HMAC-SHA256).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class Unreadable(Exception):
    """Encrypted under a key that the settings do not name, or no encrypted text at all."""


def encrypted(text: str) -> str:
    """``text`` under the newest key; another text each time."""
    return _keys().encrypt(text.encode(errors="surrogatepass")).decode()


def decrypted(token: str) -> str:
    """The inverse of `encrypted`, under whichever key. Raises `Unreadable`."""
    try:
        return _keys().decrypt(token.encode()).decode(errors="surrogatepass")
    except (InvalidToken, ValueError) as error:
        raise Unreadable from error


def rotated(token: str) -> str:
    """The same secret under the newest key. Raises `Unreadable`."""
    return encrypted(decrypted(token))


def keyed_hash(digest: bytes) -> bytes:
    """HMAC-SHA256 of ``digest`` (32 bytes), so that a hash which agents report is no help in guessing a weak secret."""
    key = _derived(settings.SECRET_KEY, b"opamp-platform hashes of renderings")
    return hmac.new(key, digest, hashlib.sha256).digest()


def _keys() -> MultiFernet:
    return _made((*settings.SECRETS_KEYS, settings.SECRET_KEY))


@lru_cache(maxsize=4)
def _made(texts: tuple[str, ...]) -> MultiFernet:
    """The last one reads what was stored before keys of its own were set."""
    derived = [_derived(text, b"opamp-platform secrets") for text in texts]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in derived])


@lru_cache(maxsize=16)
def _derived(text: str, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(text.encode())
