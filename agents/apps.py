"""The agents app: who they are, what they report, who is connected."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AgentsConfig(AppConfig):
    """Knows nothing of configurations or of the wire."""

    name = "agents"
    verbose_name = _("Fleet")

    def ready(self) -> None:
        from agents import live_topics, opamp, query_facts
        from agents.services import export_jobs, fleet_versions, own_actions, pruning
        from agents.services.fleet_samples import SAMPLE_SECONDS, sample_fleet
        from agents.services.retention import RegisteredKind, register_pruned_kind
        from agents.services.ways_in import OwnCredential, register_way_in
        from foundation.chores import Chore, register_chore
        from foundation.navigation import Task, place_lists
        from jobs.services import job_retention

        register_chore(Chore("fleet history", SAMPLE_SECONDS, sample_fleet))
        register_chore(Chore("fleet versions", fleet_versions.SECONDS, fleet_versions.note_versions))
        place_lists(Task.AGENTS, "agents.agent")
        opamp.register()
        query_facts.register()
        own_actions.register()
        live_topics.register()
        pruning.register()
        export_jobs.register()
        register_way_in(OwnCredential())
        # Here, since jobs know no agents, whose history is pruned with theirs.
        register_pruned_kind(RegisteredKind("job results", job_retention.overdue_results))
        register_pruned_kind(RegisteredKind("jobs", job_retention.overdue_jobs, referred=True))
        register_pruned_kind(RegisteredKind("tasks", job_retention.overdue_tasks))
