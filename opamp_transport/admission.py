"""Who may come in: the verdict on a request of an agent, before any upgrade (S-22, S-105).

Decisions on headers, addresses and a clock that comes in as an argument; how limits count is `limits`' business.
"""

from __future__ import annotations

import hmac
import ipaddress
import math
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings

from agents.credentials import Denial
from agents.excess import Excess
from agents.services.ways_in import Admitted, Judgement, WayIn, judge_texts
from opamp_transport import metrics
from opamp_transport.limits import AddressLimit

# An IPv6 address in brackets, with or without a port, or an IPv4 address with one.
_WITH_PORT = re.compile(r"\[([^\]]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}", re.ASCII)
# Requests that are refused anyway (wrong secret, malformed), of one address: beyond this they get 429.
_FAULTS_PER_SECOND = 10.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer instead of admission. ``reason`` is a metric label; ``text`` tells the operator what to do."""

    status: int
    reason: str
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Gate:
    """The limits of one process. ``now`` is `time.monotonic` in seconds.

    An agent that shows the right secret has a rate of its own, apart from that of strangers at the same address: behind
    one NAT or proxy somebody with a wrong secret must not shut the others out.
    """

    def __init__(self) -> None:
        self.handshakes = AddressLimit(settings.OPAMP_HANDSHAKES_PER_SECOND)
        self.requests = AddressLimit(settings.OPAMP_REQUESTS_PER_SECOND)
        self.faults = AddressLimit(_FAULTS_PER_SECOND if settings.OPAMP_REQUESTS_PER_SECOND else 0)

    def admit(
        self,
        headers: Mapping[str, str],
        *,
        address: str,
        websocket: bool,
        queue_is_full: bool,
        now: float,
        judgement: Judgement | None = None,
    ) -> Refusal | None:
        """``None`` when the agent may come in, else what to answer: 401, 429 or 503, before any upgrade.

        ``judgement`` is that of the ways in on what ``headers`` show, where somebody asked them already. They are asked first,
        so that too many wrong secrets never shut out a right one.
        """
        judgement = judgement or judged(headers)
        if isinstance(judgement, Denial):
            return self.fault(_denied(judgement), address=address, now=now)
        if settings.OPAMP_SECRET_KEY and not isinstance(judgement, Admitted):
            return self.fault(_UNAUTHORIZED, address=address, now=now)
        limit = self.handshakes if websocket else self.requests
        wait = limit.take(address, now)
        if wait:
            return _too_many("too many handshakes" if websocket else "too many requests", wait)
        return overloaded() if queue_is_full else None

    def fault(self, refusal: Refusal, *, address: str, now: float) -> Refusal:
        """``refusal``, or 429 for an address that is refused all the time."""
        wait = self.faults.take(address, now)
        return _too_many("too many faults", wait) if wait else refusal


_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="opamp"'}
_UNAUTHORIZED = Refusal(
    401,
    "unauthorized",
    "The secret is missing or wrong. Send OPAMP_SECRET_KEY, or an enrolment token, as 'Authorization: Bearer …' or "
    "'Secret-Key: …'.",
    _CHALLENGE,
)


def _denied(denial: Denial) -> Refusal:
    return Refusal(401, denial.value, denial.text, _CHALLENGE)


def rejected(denial: Denial | Excess, instance_uid: UUID) -> Refusal:
    """The answer to a request that was let in, but not to speak for the agent it names (S-83, S-117, S-103)."""
    text = f"{instance_uid}: {denial.text}"
    if isinstance(denial, Excess):
        status = 429 if denial is Excess.TOO_MANY_NEW else 503
        return Refusal(status, denial.value, text, {"Retry-After": str(retry_after_seconds())})
    if denial in {Denial.FOREIGN, Denial.FOREIGN_CERTIFICATE}:
        return Refusal(403, denial.value, text)
    return Refusal(401, denial.value, text, _CHALLENGE)


def header_map(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """ASGI headers by lower-case name; of a repeated one the first counts."""
    headers: dict[str, str] = {}
    for name, value in raw:
        headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return headers


def forwarded_for(raw: Iterable[tuple[bytes, bytes]], *, proxies: int) -> str:
    """What ``proxies`` trusted reverse proxies say of the peer, empty when they say nothing.

    Each of them appends the address it was called from to ``X-Forwarded-For``; what stands further left is whatever
    the peer wrote. With none to trust the header counts nothing.
    """
    if not proxies:
        return ""
    named = [
        part.strip()
        for name, value in raw
        if name.lower() == b"x-forwarded-for"
        for part in value.decode("latin-1").split(",")
        if part.strip()
    ]
    return named[-min(proxies, len(named))] if named else ""


def peer_address(client: str, forwarded: str) -> str:
    """The address of the peer, as text: the ``forwarded`` one, or the ``client``'s own, which has opened the connection.

    Limits and history are by address, and a text of the peer's choice would be a new one each time.
    """
    named = ip_address(forwarded) if forwarded else ""
    if named or ":" not in client:  # a socket's IPv4 address has one spelling
        return named or client[:64]
    return ip_address(client) or client[:64]


def ip_address(text: str) -> str:
    """The IP address in ``text``, in its one spelling; empty when it is none.

    Proxies may add a port (``192.0.2.1:4711``, ``[2001:db8::1]:4711``), quotes, or a zone (``fe80::1%eth0``), none of which
    is the address's. An IPv4 address mapped into IPv6 is the IPv4 address.
    """
    bare = text.strip()
    if len(bare) > 1 and bare[0] == bare[-1] == '"':
        bare = bare[1:-1]
    found = _WITH_PORT.fullmatch(bare)
    if found is not None:
        bare = found[1] or found[2]
    try:
        address = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def overloaded() -> Refusal:
    """503 with a jittered Retry-After (S-103)."""
    return Refusal(
        503,
        "overloaded",
        "The server is busy; the agent comes back by itself.",
        {"Retry-After": str(retry_after_seconds())},
    )


def retry_after_seconds() -> int:
    """Seconds until a refused agent should come back: `OPAMP_RETRY_AFTER_SECONDS` and a jitter."""
    return settings.OPAMP_RETRY_AFTER_SECONDS + _jitter_seconds()


def _jitter_seconds() -> int:
    """Keeps agents that are refused together from coming back as one herd."""
    return random.randrange(settings.OPAMP_RETRY_AFTER_SECONDS)  # noqa: S311  spreads load, guards nothing


def _too_many(reason: str, wait: float) -> Refusal:
    """429 that says when the rate allows another: soon, since the whole fleet behind one NAT must be in again."""
    seconds = math.ceil(wait) + _jitter_seconds()
    return Refusal(
        429,
        reason,
        "Too much from this address; the agent comes back by itself. See OPAMP_HANDSHAKES_PER_SECOND, "
        "OPAMP_REQUESTS_PER_SECOND and, behind a proxy, OPAMP_TRUSTED_PROXIES.",
        {"Retry-After": str(seconds)},
    )


def judged(headers: Mapping[str, str]) -> Judgement | None:
    """What the ways in say of what a request shows; ``None`` when none knows it."""
    return judge_texts(_shown(headers))


class SharedSecret(WayIn):
    """The secret of all agents, or the previous one, which is counted: it is needed for as long as that goes on."""

    def judge(self, text: str) -> Judgement | None:
        """Whether ``text`` is one of the two."""
        secret, previous = settings.OPAMP_SECRET_KEY, settings.OPAMP_PREVIOUS_SECRET_KEY
        if secret and _secret_matches(text, secret):
            return Admitted()
        if secret and previous and _secret_matches(text, previous):
            metrics.PREVIOUS_SECRET.inc()
            return Admitted()
        return None


def _secret_matches(text: str, secret: str) -> bool:
    """Compared in constant time as bytes: a header may hold anything."""
    return hmac.compare_digest(text.encode("latin-1", "replace"), secret.encode())


def _shown(headers: Mapping[str, str]) -> list[str]:
    """``Secret-Key: S``, ``Authorization: Bearer S`` or, as Bindplane agents send it, ``Authorization: Secret-Key S``."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    shown = [headers.get("secret-key", "")]
    if scheme.lower() in {"bearer", "secret-key"}:
        shown.append(credentials.strip())
    return shown
