"""Connection settings in the admin."""

from connections.admin.settings_pages import ConnectionSettingsAdmin

__all__ = ["ConnectionSettingsAdmin"]
