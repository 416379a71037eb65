"""The portal's admin site."""

from __future__ import annotations

from django.contrib import admin


class PortalSite(admin.AdminSite):
    """Django's admin with the portal's name."""

    site_header = "OpAMP Platform"
    site_title = "OpAMP Platform"
