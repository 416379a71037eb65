"""The connections app: where agents should be connected, to this server and to others."""

import functools

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ConnectionsConfig(AppConfig):
    """Stands on agents, rollouts and the encryption of secrets; registers what they need to know of it when Django is ready."""

    name = "connections"
    verbose_name = _("Connection settings")

    def ready(self) -> None:
        from agents import extensions
        from agents.services.offers import register_offer
        from connections import connections_shown
        from connections.opamp import ConnectionOffer
        from connections.services.connecting_relabelled import connect_relabelled
        from connections.services.connection_rollouts import CONNECTION_SUBJECT
        from connections.services.connection_targeting import hold_connections
        from connections.services.stored_contents import HOLDER
        from foundation.navigation import Task, place_lists
        from rollouts.subjects import register_subject
        from variables.secret_holders import register_holder

        place_lists(Task.AGENTS, "connections.connectionsettings")
        extensions.register_before_relabelling(functools.partial(hold_connections, exclusive=False))
        extensions.register_after_relabelling(connect_relabelled)
        for kind in connections_shown.TIMELINE_KINDS:
            extensions.register_timeline_kind(kind)
        extensions.register_panel(connections_shown.PANEL)
        register_offer(ConnectionOffer)
        register_subject(CONNECTION_SUBJECT)
        register_holder(HOLDER)
