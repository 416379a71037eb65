"""The agents app: who they are, what they report, who is connected."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AgentsConfig(AppConfig):
    """Knows nothing of configurations or of the wire."""

    name = "agents"
    verbose_name = _("Fleet")

    def ready(self) -> None:
        from agents import live_topics, opamp
        from agents.services.ways_in import OwnCredential, register_way_in

        opamp.register()
        live_topics.register()
        register_way_in(OwnCredential())
