"""The alerts app: what is watched, what is wrong now, and who is told."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AlertsConfig(AppConfig):
    """Stands on all that can be watched; beside the transport, which it does not know."""

    name = "alerts"
    verbose_name = _("Alerts")

    def ready(self) -> None:
        from agents.extensions import register_panel
        from agents.services.retention import register_pruned_kind
        from alerts import alert_words, live_topics
        from alerts.alerts_shown import ALERTS_PANEL
        from alerts.services import delivering, early_evaluation, evaluating, retention_of_alerts
        from foundation.chores import Chore, register_chore
        from foundation.navigation import Task, place_lists
        from jobs.kinds import register_job_kind

        lists = ("alert", "alertrule", "silence", "receiver", "alertdelivery")
        place_lists(Task.ALERTS, *(f"alerts.{name}" for name in lists))
        register_chore(Chore(early_evaluation.CHORE, evaluating.SECONDS, evaluating.evaluate_all))
        register_chore(Chore("alert deliveries", delivering.SECONDS, delivering.start_lost))
        early_evaluation.register()
        alert_words.register()
        register_job_kind(delivering.KIND)
        for kind in retention_of_alerts.KINDS:
            register_pruned_kind(kind)
        register_panel(ALERTS_PANEL)
        live_topics.register()
