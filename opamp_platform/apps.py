"""The project's own Django app: wiring, pages about the whole portal, and start-up checks."""

from __future__ import annotations

import logging.config

from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.admin.apps import AdminConfig


class PlatformConfig(AppConfig):
    """Configures logs and registers the system checks."""

    name = "opamp_platform"
    verbose_name = "OpAMP Platform"

    def ready(self) -> None:
        from opamp_platform import system_checks  # noqa: F401  registers on import

        logging.config.dictConfig(settings.LOGGING)
        # Roles stand under the heading of the people who have them.
        apps.get_app_config("auth").verbose_name = apps.get_app_config("accounts").verbose_name


class PortalAdminConfig(AdminConfig):
    """Django's admin with the portal's own site: names, dashboard, language switch."""

    default_site = "opamp_platform.portal.PortalSite"
