"""The configurations app: what agents should run."""

import functools

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ConfigurationsConfig(AppConfig):
    """Stands on agents; registers what agents need to know of it when Django is ready."""

    name = "configurations"
    verbose_name = _("Configurations")

    def ready(self) -> None:
        from agents import extensions
        from agents.filters import register_agent_filter
        from agents.services.offers import register_offer
        from agents.services.retention import register_pruned_kind
        from configurations import configuration_words, panels, pending_stages, pins_shown
        from configurations.drift_lines import DRIFT_KINDS
        from configurations.models import pinned_keys
        from configurations.opamp import ConfigurationOffer
        from configurations.pin_lines import PIN_KINDS
        from configurations.services import effective_groups, offering_again, overdue, pinning, targeting
        from configurations.services.rerendering import TIDY_SECONDS, ConfigurationConsumer, tidy_held_values
        from configurations.services.staging import ConfigurationSubject
        from foundation.chores import Chore, register_chore
        from rollouts.subjects import register_subject
        from variables.value_users import register_consumer

        configuration_words.register()
        extensions.register_before_relabelling(functools.partial(targeting.hold_targeting, exclusive=False))
        extensions.register_after_relabelling(targeting.rematch_agents)
        extensions.register_placing(targeting.names_for)
        extensions.register_configuration_error("assignment__error_message")
        panels.register()
        for kind in (*PIN_KINDS, *DRIFT_KINDS):
            extensions.register_timeline_kind(kind)
        extensions.register_marking(pins_shown.pin_marks)
        extensions.register_heading(pins_shown.pin_heading)
        register_agent_filter("pinned", pinned_keys, help_text="Pinned: they run what a person chose for them.")
        register_agent_filter(
            "waits", pending_stages.waiting_keys, help_text="A rollout concerns them, and has not come to them yet."
        )
        register_chore(Chore("pins", pinning.END_SECONDS, pinning.end_expired_pins))
        register_chore(Chore("drift", offering_again.LOOK_SECONDS, offering_again.wake_drifted))
        register_chore(Chore("likeness", effective_groups.LIKENESS_SECONDS, effective_groups.note_likeness))
        register_chore(Chore("held values", TIDY_SECONDS, tidy_held_values))
        register_offer(ConfigurationOffer)
        register_subject(ConfigurationSubject())
        register_consumer(ConfigurationConsumer())
        for pruned in overdue.KINDS:
            register_pruned_kind(pruned)
