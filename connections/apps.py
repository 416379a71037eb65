"""The connections app: where agents should be connected, to this server and to others."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ConnectionsConfig(AppConfig):
    """Stands on agents, rollouts and the encryption of secrets; registers what they need to know of it when Django is ready."""

    name = "connections"
    verbose_name = _("Connection settings")

    def ready(self) -> None:
        from agents import extensions
        from connections import connections_shown
        from connections.opamp import ConnectionOffer
        from connections.services.connection_rollouts import CONNECTION_SUBJECT
        from connections.services.stored_contents import HOLDER
        from foundation.navigation import Task, place_lists
        from rollouts.released_kinds import register_released
        from variables.secret_holders import register_holder

        place_lists(Task.AGENTS, "connections.connectionsettings")
        for kind in connections_shown.TIMELINE_KINDS:
            extensions.register_timeline_kind(kind)
        extensions.register_panel(connections_shown.PANEL)
        register_released(CONNECTION_SUBJECT, ConnectionOffer)
        register_holder(HOLDER)
