"""Which web pages may speak OpAMP, and under which host names the portal is known (`Origin`, `Host`).

A browser lets any page open a WebSocket to any address its user can reach, and says only which page it was: `Origin`. Agents
are no pages and send none. A page can also have its own name point to the portal's address (DNS rebinding); then `Host` is
that name, and the origin looks like the portal's own. Pure: settings come in as arguments.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HTTP_OF = {"ws": "http", "wss": "https"}
# A host name or IPv4 address, or an IPv6 address in brackets; the port beside it.
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_*.-]{1,255})(?::(?P<port>[0-9]{1,5}))?")


class Origin(NamedTuple):
    """Scheme, host and port as browsers compare them: lower case, without a trailing dot, the default port filled in."""

    scheme: str
    host: str
    port: int


class KnownOrigins(NamedTuple):
    """What the settings say: origins that may speak, host names of the portal, and whether pages are served under any."""

    origins: tuple[str, ...]
    hosts: tuple[str, ...]
    any_host: bool


@lru_cache(maxsize=256)
def parse_origin(text: str) -> Origin | None:
    """An origin as a browser writes it, ``None`` for anything else (``null`` too)."""
    scheme, separator, authority = text.strip().partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _DEFAULT_PORTS:
        return None
    found = split_host(authority, _DEFAULT_PORTS[scheme])
    return None if found is None else Origin(scheme, *found)


@lru_cache(maxsize=256)
def split_host(text: str, default_port: int) -> tuple[str, int] | None:
    """The host in one spelling and the port of ``host[:port]``, ``None`` for what is neither a name nor an address."""
    found = _AUTHORITY.fullmatch(text.strip())
    if found is None:
        return None
    host = found["host"].lower().removesuffix(".")
    if host.startswith("["):
        try:
            host = f"[{ipaddress.IPv6Address(host[1:-1])}]"
        except ValueError:
            return None
    port = int(found["port"]) if found["port"] else default_port
    return (host, port) if host and 0 < port < 65536 else None


def page_problem(origins: Sequence[str], *, scheme: str, host: str, known: KnownOrigins) -> str | None:
    """Why a request of a page is refused, ``None`` when it may speak.

    ``origins`` are the values of its ``Origin`` headers, at least one; ``scheme`` and ``host`` are how it reached us.
    Listed origins may speak; so may the portal's own pages, where the host is one that is known to be the portal's.
    """
    origin = parse_origin(origins[0]) if len(origins) == 1 else None
    if origin is None:
        return "The request names no single origin."
    if any(_covers(item, origin) for item in known.origins):
        return None if known.any_host or host_is_known(host, known) else _unknown_host(host)
    scheme = _HTTP_OF.get(scheme, scheme)
    own = parse_origin(f"{scheme}://{host}")
    if own != origin:
        return f"Pages of {origins[0][:200]!r} may not speak OpAMP here. See OPAMP_ALLOWED_ORIGINS."
    return None if host_is_known(host, known) else _unknown_host(host)


def host_problem(host: str, known: KnownOrigins) -> str | None:
    """Why a request that nobody asks for a secret is refused by the name it came to, ``None`` when it is not.

    Without ``Host`` it comes from no browser.
    """
    return None if not host or host_is_known(host, known) else _unknown_host(host)


@lru_cache(maxsize=256)
def host_is_known(host: str, known: KnownOrigins) -> bool:
    """True for loopback names, addresses, names without a dot, and names that settings give the portal.

    No page of somebody else's can have an address as its own name, nor a name without a dot, such as that of a container:
    those are not in the public DNS.
    """
    found = split_host(host, 80)
    if found is None:
        return False
    name, _port = found
    if "." not in name or name.endswith(".localhost") or _is_address(name):
        return True
    return any(name == item or (item.startswith(".") and f".{name}".endswith(item)) for item in known.hosts)


@lru_cache(maxsize=16)
def known_by(
    allowed_hosts: tuple[str, ...], trusted_origins: tuple[str, ...], allowed_origins: tuple[str, ...]
) -> KnownOrigins:
    """`Known` from ``ALLOWED_HOSTS``, ``CSRF_TRUSTED_ORIGINS`` (the portal's own) and ``OPAMP_ALLOWED_ORIGINS``."""
    own = [origin.host for item in trusted_origins if (origin := parse_origin(item)) is not None]
    named = [item.lower().removesuffix(".") for item in allowed_hosts if item != "*"]
    hosts = (*named, *(host.removeprefix("*") for host in own))
    return KnownOrigins((*trusted_origins, *allowed_origins), hosts, "*" in allowed_hosts)


@lru_cache(maxsize=64)
def is_loopback(address: str) -> bool:
    """True for an address of this machine that no other reaches, IPv4 mapped into IPv6 too. Raises ValueError for names."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return bool((getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _covers(item: str, origin: Origin) -> bool:
    """Whether a listed origin is this one; ``https://*.example.com`` stands for all names below."""
    listed = parse_origin(item)
    if listed is None or (listed.scheme, listed.port) != (origin.scheme, origin.port):
        return False
    if listed.host.startswith("*."):
        return origin.host.endswith(listed.host[1:])
    return listed.host == origin.host


def _unknown_host(host: str) -> str:
    return f"The portal does not know the host name {host[:200]!r} as its own: name it in ALLOWED_HOSTS."
