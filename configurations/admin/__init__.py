"""Configurations in the admin: list and editor (`pages`, `forms`), previews while typing (`live`), other edits (`edits`).

`confirmation_page` says what any of them would change before it does.
"""

from configurations.admin import agent_actions
from configurations.admin.pages import ConfigurationAdmin

__all__ = ["ConfigurationAdmin"]

agent_actions.register()
