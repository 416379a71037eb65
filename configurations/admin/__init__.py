"""Configurations in the admin: list and editor (`pages`, `forms`), previews while typing (`live`), other edits (`edits`).

`confirming` says what any of them would change before it does.
"""

from configurations.admin import bulk
from configurations.admin.pages import ConfigurationAdmin

__all__ = ["ConfigurationAdmin"]

bulk.register()
