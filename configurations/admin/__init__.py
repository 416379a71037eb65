"""Configurations in the admin: list and editor (`pages`, `forms`), previews while typing (`live`), other edits (`edits`).

`confirmation_page` says what any of them would change before it does; `pins` is about single agents.
"""

from configurations.admin import agent_actions, pins
from configurations.admin.pages import ConfigurationAdmin
from configurations.admin.pins import PinAdmin

__all__ = ["ConfigurationAdmin", "PinAdmin"]

agent_actions.register()
pins.register()
