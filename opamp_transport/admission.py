"""Who may come in: the verdict on a request of an agent, before any upgrade (S-22, S-105). Pure decisions on headers."""

from __future__ import annotations

import hmac
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# S-103 recommends at least 30 s; the jitter keeps refused agents from coming back as one herd.
RETRY_AFTER_SECONDS = 30
RETRY_JITTER_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer instead of admission. ``reason`` is a metric label; ``text`` tells the operator what to do."""

    status: int
    reason: str
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)


def header_map(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """ASGI headers by lower-case name; of a repeated one the first counts."""
    headers: dict[str, str] = {}
    for name, value in raw:
        headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return headers


def admit(headers: Mapping[str, str], *, secret: str, queue_is_full: bool) -> Refusal | None:
    """``None`` when the agent may come in, else what to answer: 401 for a wrong secret, 503 when we would drown."""
    if secret and not _secret_matches(headers, secret):
        return Refusal(
            401,
            "unauthorized",
            "The secret is missing or wrong. Send OPAMP_SECRET_KEY as 'Authorization: Bearer …' or 'Secret-Key: …'.",
            {"WWW-Authenticate": 'Bearer realm="opamp"'},
        )
    if queue_is_full:
        return overloaded()
    return None


def overloaded() -> Refusal:
    """503 with a jittered Retry-After (S-103)."""
    return Refusal(
        503,
        "overloaded",
        "The server is busy; the agent comes back by itself.",
        {"Retry-After": str(retry_after_seconds())},
    )


def retry_after_seconds() -> int:
    """Seconds until a refused agent should come back."""
    return RETRY_AFTER_SECONDS + random.randrange(RETRY_JITTER_SECONDS)  # noqa: S311  spreads load, guards nothing


def _secret_matches(headers: Mapping[str, str], secret: str) -> bool:
    """``Secret-Key: S``, ``Authorization: Bearer S`` or, as Bindplane agents send it, ``Authorization: Secret-Key S``.

    Compared in constant time as bytes: a header may hold anything.
    """
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    offered = [headers.get("secret-key", "")]
    if scheme.lower() in {"bearer", "secret-key"}:
        offered.append(credentials.strip())
    wanted = secret.encode()
    return any(hmac.compare_digest(text.encode("latin-1", "replace"), wanted) for text in offered)
