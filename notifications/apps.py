"""The notifications app: what open pages and programs are told over a WebSocket."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NotificationsConfig(AppConfig):
    """Stands on whoever registers topics, and knows none of them but the audit trail's."""

    name = "notifications"
    verbose_name = _("Notifications")

    def ready(self) -> None:
        from foundation.topics import Topic, register_topic

        register_topic(Topic("audit", "accounts.view_auditentry", {"accounts.auditentry": None}))
