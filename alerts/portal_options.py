"""The settings of alerts as one value, as `opamp_platform.settings` reads them. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class AlertOptions:
    """``allowed`` are networks that receivers may lie in although they are not public. ``email`` says whether mail can be sent."""

    allowed: tuple[Network, ...] = ()
    retention_days: int = 90
    email: bool = False
