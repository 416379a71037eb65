"""The agents app: who they are, what they report, who is connected."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AgentsConfig(AppConfig):
    """Knows nothing of configurations or of the wire."""

    name = "agents"
    verbose_name = _("Fleet")

    def ready(self) -> None:
        from agents import opamp
        from agents.services.fleet_history import SAMPLE_SECONDS, sample_fleet
        from agents.services.ways_in import OwnCredential, register_way_in
        from foundation.chores import Chore, register_chore
        from foundation.navigation import Task, place_lists

        register_chore(Chore("fleet history", SAMPLE_SECONDS, sample_fleet))
        place_lists(Task.AGENTS, "agents.agent")
        opamp.register()
        register_way_in(OwnCredential())
