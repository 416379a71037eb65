"""Addresses of peers and people as limits count them. Pure."""

from __future__ import annotations

import ipaddress


def limit_key(address: str) -> str:
    """What limits count by: an IPv4 address, the /64 of an IPv6 address (its owner has all of them), else the text."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64))
