"""Configurations in the admin: list and editor (`pages`, `forms`), previews while typing (`live`), other edits (`edits`).

`confirmation_page` says what any of them would change before it does; saved drafts (`draft_pages`) change nothing. Deleted ones
have pages of their own (`deleted_pages`); `pin_pages` is about single agents.
"""

from agents.extensions import register_heading
from configurations.admin import agent_actions, configurations_overview, failures_overview, pin_pages, waiting_filter
from configurations.admin.adopting_pages import adopt_heading
from configurations.admin.deleted_pages import DeletedConfigurationAdmin
from configurations.admin.pages import ConfigurationAdmin
from configurations.admin.pin_pages import PinAdmin

__all__ = ["ConfigurationAdmin", "DeletedConfigurationAdmin", "PinAdmin"]

agent_actions.register()
pin_pages.register()
waiting_filter.register()
configurations_overview.register()
failures_overview.register()
register_heading(adopt_heading)
