"""From stored content to what agents are told: members as values, their digests, and which an agent takes. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agents.connection_settings import WantedConnection
from agents.offered_settings import Headers, ProxyOptions, TlsOptions
from agents.reports import AgentCapabilities
from connections.content import OPAMP, TELEMETRY, Content, members_of
from connections.destinations import is_over_tls
from connections.further_settings import Destination, KeyPair

_OTHER = "other_connections."
_NEEDED = {
    OPAMP: AgentCapabilities.ACCEPTS_OPAMP_CONNECTION_SETTINGS,
    "own_metrics": AgentCapabilities.REPORTS_OWN_METRICS,
    "own_traces": AgentCapabilities.REPORTS_OWN_TRACES,
    "own_logs": AgentCapabilities.REPORTS_OWN_LOGS,
}
TAKES_ANY = int(AgentCapabilities.ACCEPTS_OTHER_CONNECTION_SETTINGS) | sum(int(bit) for bit in _NEEDED.values())
"""Agents with none of these bits are told nothing."""

Digests = Mapping[str, str]
"""Of each member, by its name: ``opamp``, ``own_metrics``, …, ``other_connections.<name>``."""


def takes(name: str, capabilities: int) -> bool:
    """Whether an agent takes the member (S-76)."""
    return bool(capabilities & _NEEDED.get(name, AgentCapabilities.ACCEPTS_OTHER_CONNECTION_SETTINGS))


def digests_of(content: Content, *, key: str) -> dict[str, str]:
    """Of each member with its secrets; without ``key`` they are no help in guessing a weak one."""
    return {
        name: hmac.new(key.encode(), _canonical(member), hashlib.sha256).hexdigest()[:32]
        for name, member in members_of(content)
    }


def wanted_members(digests: Digests, capabilities: int) -> dict[str, str]:
    """The members that an agent with these capabilities should have."""
    return {name: digest for name, digest in digests.items() if takes(name, capabilities)}


def covered_by(wanted: Digests, attempt: int) -> bytes:
    """Stands in the hash of connection settings for every member but ``opamp``, which is in it itself (S-78)."""
    rest = {name: digest for name, digest in wanted.items() if name != OPAMP}
    return hashlib.sha256(_canonical([rest, attempt])).digest() if wanted or attempt else b""


@dataclass(frozen=True, slots=True)
class News:
    """What to tell an agent that was told other members before.

    ``telemetry``: names of all that it should have, since supervisors take each telling for all of it; ``off`` those that
    it was told before and should not have any more. ``others`` are names of connections.
    """

    opamp: bool = False
    telemetry: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.opamp or self.telemetry or self.off or self.others)


def news_for(wanted: Digests, told: Digests) -> News:
    """What ``wanted`` has that was not told, and what was told and is not wanted (S-77, S-80)."""
    changed = {name for name, digest in wanted.items() if told.get(name) != digest}
    off = tuple(name for name in TELEMETRY if name in told and name not in wanted)
    telemetry = off or any(name in changed for name in TELEMETRY)
    return News(
        opamp=OPAMP in changed,
        telemetry=tuple(name for name in TELEMETRY if name in wanted) if telemetry else (),
        off=off,
        others=tuple(sorted(name.removeprefix(_OTHER) for name in changed if name.startswith(_OTHER))),
    )


def connection_of(content: Content, way_in: Iterable[str]) -> WantedConnection | None:
    """The ``opamp`` member; ``way_in`` names the headers that let agents in."""
    member = content.get(OPAMP)
    if member is None:
        return None
    headers = _headers(member)
    named = {name.lower() for name, _value in headers}
    tls = _tls(member)
    return WantedConnection(
        endpoint=member["endpoint"],
        interval_seconds=member["heartbeat_seconds"],
        headers=headers,
        has_way_in=not member["keep_credentials"] or any(name.lower() in named for name in way_in),
        tls=tls,
        proxy=_proxy(member),
        ca_certificate=tls.ca_pem.encode() if tls is not None else b"",
        tells_verification=is_over_tls(member["endpoint"]) and not (tls is not None and tls.insecure_skip_verify),
    )


def is_plain(content: Content) -> bool:
    """Whether the ``opamp`` member says nothing but where and how often, so that an agent can be seen to follow it."""
    member = content.get(OPAMP, {})
    return not any(member.get(name) for name in ("headers", "tls", "proxy")) and bool(member.get("keep_credentials"))


def destination_of(member: Mapping[str, Any]) -> Destination:
    """A member for telemetry, or another connection."""
    pair = member.get("certificate")
    return Destination(
        endpoint=member["endpoint"],
        headers=_headers(member),
        certificate=KeyPair(pair["cert"], pair["private_key"], pair.get("ca_cert", "")) if pair else _authority(member),
        tls=_tls(member),
        proxy=_proxy(member),
        other_settings=tuple(sorted(member.get("other_settings", {}).items())),
    )


def _authority(member: Mapping[str, Any]) -> KeyPair | None:
    """Who signed the server's certificate, for agents that look for it there."""
    pem = member.get("tls", {}).get("ca_pem_contents")
    return KeyPair("", "", pem) if pem else None


def _headers(member: Mapping[str, Any]) -> Headers:
    return tuple(sorted(member.get("headers", {}).items()))


def _tls(member: Mapping[str, Any]) -> TlsOptions | None:
    tls = member.get("tls")
    if not tls:
        return None
    return TlsOptions(
        ca_pem=tls.get("ca_pem_contents", ""),
        include_system_ca_pool=tls.get("include_system_ca_certs_pool", False),
        insecure_skip_verify=tls.get("insecure_skip_verify", False),
        min_version=tls.get("min_version", ""),
        max_version=tls.get("max_version", ""),
        cipher_suites=tuple(tls.get("cipher_suites", ())),
    )


def _proxy(member: Mapping[str, Any]) -> ProxyOptions | None:
    proxy = member.get("proxy")
    return ProxyOptions(proxy["url"], tuple(sorted(proxy.get("connect_headers", {}).items()))) if proxy else None


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
