"""Making a version of connection settings what agents should have. See `rollouts.services.version_publishing`."""

from __future__ import annotations

from connections.errors import NoReleaseNeeded
from connections.models import SettingsVersion
from connections.services.connection_targeting import CONNECTIONS
from connections.services.settings_of_agents import assign_connections
from foundation.messages import Message
from rollouts.services.version_publishing import Releasing


def _refusal(version: SettingsVersion, to_all: bool) -> NoReleaseNeeded | None:
    if not to_all:
        return None
    return NoReleaseNeeded(
        Message(
            "connection-version-released", "Version {number} is released to everybody already.", number=version.number
        )
    )


CONNECTION_RELEASES = Releasing(
    CONNECTIONS,
    from_agent="connection__version__settings",
    assign=assign_connections,
    verb="connection_settings.release",
    told_as=lambda version: version.number,
    refusal=_refusal,
)
publish_settings = CONNECTION_RELEASES.publish
