"""Which addresses a receiver may have: public ones, and those of networks that the operator allows. Pure.

A portal that posts wherever somebody says is a way into the network that it stands in: to the machine itself, to the metadata
of a cloud, to what has no password because it is inside.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TypeAlias

from alerts.alert_options import Network

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
# Of 64:ff9b:1::/48 nobody but its network knows where the IPv4 address stands, so it stands for none: it is not public.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# All that is public; what else there is has been given up, is kept for later, or is somebody's own.
_UNICAST = ipaddress.IPv6Network("2000::/3")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


def is_allowed(address: Address, allowed: Iterable[Network]) -> bool:
    """Whether a connection to ``address`` may be made; one that stands for another is judged as that one."""
    meant = _meant(address)
    if any(meant.version == network.version and meant in network for network in allowed):
        return True
    if isinstance(meant, ipaddress.IPv6Address) and meant not in _UNICAST:
        return False
    return meant.is_global and not meant.is_multicast and not meant.is_reserved


def _meant(address: Address) -> Address:
    """The IPv4 address within an IPv6 one that stands for it."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
