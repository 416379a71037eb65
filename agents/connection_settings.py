"""The connection settings offered to an agent: where it reached us, with its credentials, and a heartbeat interval.

A supervisor builds a new connection from an offer and keeps nothing of the old one, so an offer repeats what let the
agent in, or brings it a credential of its own. Built for each request and never stored: rows and logs see the hash alone.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

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
    return _offer(f"{scheme}://{host}{path}", interval_seconds, repeated, key)


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
    made = _offer(offer.endpoint, offer.interval_seconds, (("Authorization", f"Bearer {text}"),), key)
    return replace(made, on_request_only=offer.on_request_only)


def with_certificate(offer: OpampSettings, certificate: bytes, ca_certificate: bytes, *, key: str) -> OpampSettings:
    """``offer`` with a certificate for the key that the agent has; what let it in is repeated, its hash differs (S-78, S-85)."""
    # Neither is secret, and both stay the same when a poll is retried: the digest tells them apart.
    told = hashlib.sha256(certificate + b"\0" + ca_certificate).hexdigest()
    made = _offer(offer.endpoint, offer.interval_seconds, (*offer.headers, ("", told)), key)
    return replace(made, headers=offer.headers, certificate=certificate, ca_certificate=ca_certificate)


def _offer(endpoint: str, interval_seconds: int, headers: tuple[tuple[str, str], ...], key: str) -> OpampSettings:
    digest = hmac.new(key.encode(), digestmod=hashlib.sha256)
    for field in (endpoint, str(interval_seconds), *(part for pair in headers for part in pair)):
        encoded = field.encode("utf-8", "surrogateescape")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return OpampSettings(endpoint, interval_seconds, digest.digest(), headers)
