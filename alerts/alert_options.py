"""The settings of alerts as one value, as `opamp_platform.settings` reads them, and names that it needs. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

# The names in `alerts.rule_kinds.KINDS`, which nothing below Django's models can read.
RULE_KINDS = (
    "agents_gone",
    "agents_unhealthy",
    "configuration_failed",
    "rollout_stopped",
    "agents_drifted",
    "expiring",
    "fleet_dropped",
    "configuration_unmatched",
)


@dataclass(frozen=True, slots=True)
class AlertOptions:
    """``allowed`` are networks that receivers may lie in although they are not public. ``email`` says whether mail can be sent."""

    allowed: tuple[Network, ...] = ()
    retention_days: int = 90
    email: bool = False
