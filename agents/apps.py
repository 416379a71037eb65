"""The agents app: who they are, what they report, who is connected."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AgentsConfig(AppConfig):
    """Knows nothing of configurations or of the wire."""

    name = "agents"
    verbose_name = _("Fleet")

    def ready(self) -> None:
        from agents import opamp, query_facts
        from agents.services.retention import RegisteredKind, register_pruned_kind
        from agents.services.ways_in import OwnCredential, register_way_in
        from jobs.services import past_retention

        opamp.register()
        query_facts.register()
        register_way_in(OwnCredential())
        # Here, since jobs know no agents, whose history is pruned with theirs.
        register_pruned_kind(RegisteredKind("jobs", past_retention.overdue_jobs, referred=True))
        register_pruned_kind(RegisteredKind("tasks", past_retention.overdue_tasks))
