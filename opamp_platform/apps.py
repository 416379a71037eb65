"""The project's own Django app: wiring, pages about the whole portal, and start-up checks."""

from __future__ import annotations

import logging.config

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin.apps import AdminConfig


class PlatformConfig(AppConfig):
    """Configures logs and registers the system checks."""

    name = "opamp_platform"
    verbose_name = "OpAMP Platform"

    def ready(self) -> None:
        from opamp_platform import checks  # noqa: F401  registers on import

        logging.config.dictConfig(settings.LOGGING)


class PortalAdminConfig(AdminConfig):
    """Django's admin with the portal's own site: names, dashboard, language switch."""

    default_site = "opamp_platform.portal.PortalSite"
