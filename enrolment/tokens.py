"""Enrolment tokens: what they look like on the wire, and whom a token may bring. Pure: keys, clocks and facts are arguments.

A token proves itself by a MAC within its secret, so that made-up ones are told apart without any row; of a true one the row
keeps a hash alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from agents.credentials import Denial

PREFIX = "oet1"
_LONGEST = 80
_PATTERN = re.compile(rf"{PREFIX}\.([0-9a-f]{{16}})\.([A-Za-z0-9_-]{{43}})")
_RANDOM_BYTES = _MAC_BYTES = 16


@dataclass(frozen=True, slots=True)
class TokenText:
    """A token that was made with our key: its public number and its text."""

    number: str
    text: str

    @property
    def digest(self) -> str:
        """What is stored of it. SHA-256 suffices for 128 random bits."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class TokenState:
    """What a token's row says of whom it may bring. ``return_time``: so long after its end its agents may still come back."""

    token_id: int
    name: str
    digest: str
    expires_at: datetime | None
    revoked: bool
    return_time: timedelta

    def denial(self, at: datetime) -> Denial | None:
        """Why nobody may come by it any more; ``None`` when those it brought may."""
        if self.revoked:
            return Denial.ENROLMENT_REVOKED
        if self.expires_at is not None and at >= self.expires_at + self.return_time:
            return Denial.ENROLMENT_EXPIRED
        return None

    def denial_of_new(self, at: datetime, *, uses: int, max_uses: int | None) -> Denial | None:
        """Why it brings no further agent."""
        if (denial := self.denial(at)) is not None:
            return denial
        if self.expires_at is not None and at >= self.expires_at:
            return Denial.ENROLMENT_EXPIRED
        return Denial.ENROLMENT_USED_UP if max_uses is not None and uses >= max_uses else None


def new_token(*, key: str) -> TokenText:
    """A token nobody has."""
    number, random = secrets.token_hex(8), secrets.token_bytes(_RANDOM_BYTES)
    secret = base64.urlsafe_b64encode(random + _mac(number, random, key)).rstrip(b"=").decode()
    return TokenText(number, f"{PREFIX}.{number}.{secret}")


def looks_like_enrolment_token(text: str) -> bool:
    """Whether ``text`` is meant to be an enrolment token, whole or not."""
    return text.startswith(f"{PREFIX}.")


def read_token(text: str, *, key: str) -> TokenText | None:
    """The token that ``text`` is, or ``None`` unless it was made with this ``key``. ``text`` may be anything."""
    found = _PATTERN.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        return None
    secret = base64.urlsafe_b64decode(found[2] + "=")
    # One spelling of each: the last character has two bits that decoding drops.
    spelled = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
    random, mac = secret[:_RANDOM_BYTES], secret[_RANDOM_BYTES:]
    true = hmac.compare_digest(mac, _mac(found[1], random, key))
    return TokenText(found[1], text) if true and spelled == found[2] else None


def _mac(number: str, random: bytes, key: str) -> bytes:
    said = f"{PREFIX}.{number}.".encode() + random
    return hmac.digest(_mac_key(key), said, "sha256")[:_MAC_BYTES]


@lru_cache(maxsize=2)
def _mac_key(key: str) -> bytes:
    """A key for this use alone: what is signed elsewhere with ``key`` is no help in making tokens."""
    return hmac.digest(key.encode(), b"opamp enrolment token", "sha256")
