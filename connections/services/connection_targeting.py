"""Which connection settings each agent should have. Changes no agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from connections.models import RELEASE_SUBJECT, ConnectionGeneration, ConnectionSettings, SettingsVersion
from rollouts.services.releasable import Releasable, ReleasedTargeting

ConnectionTargeting = ReleasedTargeting[ConnectionSettings, SettingsVersion]

CONNECTIONS = Releasable(
    RELEASE_SUBJECT,
    ConnectionSettings.objects,
    SettingsVersion.objects,
    "settings",
    ConnectionGeneration.objects,
    lock=0x0A4D_5043,
    strength=lambda settings: (-settings.priority, settings.name),
    competes_as=lambda settings: None,
)
"""Held after configurations' targeting and packages, before agents."""
hold_connections, bump_connections = CONNECTIONS.hold, CONNECTIONS.bump
current_connections, fresh_connections = CONNECTIONS.current, CONNECTIONS.fresh


def settings_wanted_by(
    instance_uid: UUID, labels: Mapping[str, Any], targeting: ConnectionTargeting
) -> SettingsVersion | None:
    """The version of the strongest settings that match and are released to the agent."""
    found = targeting.wanted_by(instance_uid, labels)
    return found[0][1] if found else None
