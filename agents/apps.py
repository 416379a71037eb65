"""The agents app: who they are, what they report, who is connected."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AgentsConfig(AppConfig):
    """Knows nothing of configurations or of the wire."""

    name = "agents"
    verbose_name = _("Fleet")

    def ready(self) -> None:
        from agents import opamp, query_facts
        from agents.services.ways_in import OwnCredential, register_way_in

        opamp.register()
        query_facts.register()
        register_way_in(OwnCredential())
