"""How a receiver knows that a notice is ours: HMAC-SHA256 over the time and the body. Pure."""

from __future__ import annotations

import hashlib
import hmac

SIGNATURE_HEADER = "X-OpAMP-Signature"


def notice_signature(secret: str, at: int, body: bytes) -> str:
    """``t=<seconds since 1970>,v1=<hexadecimal>``; the time is signed too, so that an old notice cannot be sent again later."""
    made = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={made}"
