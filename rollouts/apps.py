"""The rollouts app: what is released, and to whom."""

from django.apps import AppConfig
from django.conf import settings
from django.utils.translation import gettext_lazy as _


class RolloutsConfig(AppConfig):
    """Stands on agents, and knows none of the things that are released."""

    name = "rollouts"
    verbose_name = _("Rollouts")

    def ready(self) -> None:
        from agents.extensions import register_heading, register_marking, register_timeline_kind
        from agents.filters import register_agent_filter
        from agents.services.retention import register_pruned_kind
        from foundation.chores import Chore, register_chore
        from rollouts import freezes_shown, rollout_words
        from rollouts.pause_lines import PAUSE_KINDS
        from rollouts.services import freezing, past_retention, ticking

        rollout_words.register()
        for kind in PAUSE_KINDS:
            register_timeline_kind(kind)
        register_marking(freezes_shown.pause_marks)
        register_heading(freezes_shown.pause_heading)
        register_agent_filter("paused", freezing.paused_keys, help_text="Paused: nothing is offered to them.")
        register_chore(Chore("rollouts", settings.ROLLOUT_SECONDS, ticking.tick_all))
        for pruned in past_retention.KINDS:
            register_pruned_kind(pruned)
        register_chore(Chore("freezes", freezing.END_SECONDS, freezing.end_expired))
