"""Making instance uids. Pure but for the randomness and the clock that a UUID v7 is made of."""

from __future__ import annotations

import secrets
import time
from uuid import UUID


def new_instance_uid() -> UUID:
    """A UUID version 7 (RFC 9562 section 5.7): milliseconds since 1970, then 74 random bits (S-28, S-29)."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)
