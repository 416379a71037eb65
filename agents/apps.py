"""The agents app: who they are, what they report, who is connected."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AgentsConfig(AppConfig):
    """Knows nothing of configurations or of the wire."""

    name = "agents"
    verbose_name = _("Fleet")

    def ready(self) -> None:
        from agents import opamp
        from agents.services.ways_in import OwnCredential, register_way_in
        from foundation.navigation import Task, place_lists

        place_lists(Task.AGENTS, "agents.agent")
        opamp.register()
        register_way_in(OwnCredential())
