"""The connection settings offered to an agent: where it reached us, with its credentials, and a heartbeat interval.

A supervisor builds a new connection from an offer and keeps nothing of the old one, so an offer repeats what let the
agent in, or brings it a credential of its own. Built for each request and never stored: rows and logs see the hash alone.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from agents.offered_settings import ProxyOptions, TlsOptions
from agents.replies import OpampSettings

_HOST = re.compile(r"[A-Za-z0-9._~\[\]:%-]{1,255}")
_SECURE = {"http": "https", "ws": "wss", "https": "https", "wss": "wss"}


def opamp_settings(
    *, scheme: str, path: str, headers: Mapping[str, str], credentials: Iterable[str], interval_seconds: int, key: str
) -> OpampSettings | None:
    """The offer for an agent whose request had these ``headers``, or ``None`` when it named no usable host.

    ``credentials`` names the headers that are repeated. ``key`` makes the hash useless for guessing a weak secret: the
    agent reports the hash, and reports are stored.
    """
    host = headers.get("host", "")
    if not _HOST.fullmatch(host):
        return None
    if headers.get("x-forwarded-proto", "").split(",")[0].strip().lower() in {"https", "wss"}:
        scheme = _SECURE.get(scheme, scheme)
    repeated = tuple((name, headers[name.lower()]) for name in credentials if headers.get(name.lower()))
    return _sealed(OpampSettings(f"{scheme}://{host}{path}", interval_seconds, b"", repeated), key)


def reached_at(*, scheme: str, headers: Mapping[str, str]) -> str:
    """How an agent whose request had these ``headers`` names this server over HTTP; empty when it named no usable host."""
    host = headers.get("host", "")
    if not _HOST.fullmatch(host):
        return ""
    proxied = headers.get("x-forwarded-proto", "").split(",")[0].strip().lower()
    secure = scheme in {"https", "wss"} or proxied in {"https", "wss"}
    return f"{'https' if secure else 'http'}://{host}"


def with_credential(offer: OpampSettings, text: str, *, key: str) -> OpampSettings:
    """``offer`` with the credential ``text`` in place of what let the agent in; its hash differs (S-78)."""
    return _sealed(replace(offer, headers=(("Authorization", f"Bearer {text}"),)), key)


def with_certificate(offer: OpampSettings, certificate: bytes, ca_certificate: bytes, *, key: str) -> OpampSettings:
    """``offer`` with a certificate for the key that the agent has; what let it in is repeated, its hash differs (S-78, S-85)."""
    # Neither is secret, and both stay the same when a poll is retried: the digest tells them apart.
    told = hashlib.sha256(certificate + b"\0" + ca_certificate).hexdigest()
    made = _sealed(replace(offer, headers=(*offer.headers, ("", told))), key)
    # Of who signed the certificate, and of who signed the server's.
    authorities = ca_certificate + offer.ca_certificate
    return replace(
        made, headers=offer.headers, certificate=certificate, ca_certificate=authorities, on_request_only=False
    )


@dataclass(frozen=True, slots=True)
class WantedConnection:
    """The connection to this server as people want it: whole, for an agent keeps nothing of its former one.

    ``has_way_in``: ``headers`` let the agent in where ``endpoint`` leads, so that nothing else is repeated there.
    ``ca_certificate`` is who signed the server's certificate; ``tells_verification`` as in `OpampSettings`.
    """

    endpoint: str
    interval_seconds: int
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    has_way_in: bool = False
    tls: TlsOptions | None = None
    proxy: ProxyOptions | None = None
    ca_certificate: bytes = b""
    tells_verification: bool = False


def with_wanted(offer: OpampSettings, wanted: WantedConnection | None, covers: bytes, *, key: str) -> OpampSettings:
    """``offer`` leading where people want it, with a hash that covers all other members too (S-78)."""
    changed = replace(offer, covers=covers)
    if wanted is not None:
        changed = replace(
            changed,
            endpoint=wanted.endpoint,
            interval_seconds=wanted.interval_seconds,
            headers=() if wanted.has_way_in else offer.headers,
            further_headers=wanted.headers,
            has_way_in=wanted.has_way_in,
            tls=wanted.tls,
            proxy=wanted.proxy,
            ca_certificate=wanted.ca_certificate,
            tells_verification=wanted.tells_verification,
        )
    return _sealed(changed, key)


def _sealed(offer: OpampSettings, key: str) -> OpampSettings:
    """``offer`` with the hash of all that is in it."""
    fields = [offer.endpoint, str(offer.interval_seconds), *(part for pair in offer.headers for part in pair)]
    if offer.further_headers or offer.tls is not None or offer.proxy is not None or offer.covers:
        # None of these has a ``repr`` with secrets in it but the headers, which are written out.
        proxied = offer.proxy.connect_headers if offer.proxy is not None else ()
        fields += ["", *(part for pair in (*offer.further_headers, ("", ""), *proxied) for part in pair)]
        fields += [repr(offer.tls), repr(offer.proxy), offer.covers.hex()]
    digest = hmac.new(key.encode(), digestmod=hashlib.sha256)
    for text in fields:
        encoded = text.encode("utf-8", "surrogateescape")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return replace(offer, settings_hash=digest.digest())
