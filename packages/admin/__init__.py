"""Packages in the admin; importing it registers the pages."""

from packages.admin import agent_pages
from packages.admin.package_pages import PackageAdmin

agent_pages.register()

__all__ = ["PackageAdmin"]
