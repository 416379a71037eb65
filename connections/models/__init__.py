"""Rows about connection settings."""

from connections.models.agent_rows import AgentConnection
from connections.models.settings_rows import (
    RELEASE_SUBJECT,
    ConnectionGeneration,
    ConnectionSettings,
    SettingsVersion,
)

__all__ = ["RELEASE_SUBJECT", "AgentConnection", "ConnectionGeneration", "ConnectionSettings", "SettingsVersion"]
