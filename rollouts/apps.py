"""The rollouts app: what is released, and to whom."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RolloutsConfig(AppConfig):
    """Stands on agents, and knows none of the things that are released."""

    name = "rollouts"
    verbose_name = _("Rollouts")

    def ready(self) -> None:
        from agents.extensions import register_timeline_kind
        from rollouts.timeline_kinds import PAUSE_KINDS

        for kind in PAUSE_KINDS:
            register_timeline_kind(kind)
