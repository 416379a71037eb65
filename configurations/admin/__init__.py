"""Configurations in the admin: `forms` reads what a person wrote, `confirming` says what it would change, `pages` publishes."""

from configurations.admin import bulk
from configurations.admin.pages import ConfigurationAdmin

__all__ = ["ConfigurationAdmin"]

bulk.register()
