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
        from agents.services.offers import register_offer
        from agents.services.retention import register_pruned_kind
        from configurations import panels
        from configurations.opamp import ConfigurationOffer
        from configurations.services import overdue, targeting
        from configurations.services.rerendering import ConfigurationConsumer
        from configurations.services.staging import ConfigurationSubject
        from rollouts.subjects import register_subject
        from variables.value_users import register_consumer

        extensions.register_before_relabelling(functools.partial(targeting.hold_targeting, exclusive=False))
        extensions.register_after_relabelling(targeting.rematch_agents)
        extensions.register_placing(targeting.names_for)
        extensions.register_configuration_error("assignment__error_message")
        panels.register()
        register_offer(ConfigurationOffer)
        register_subject(ConfigurationSubject())
        register_consumer(ConfigurationConsumer())
        for kind in overdue.KINDS:
            register_pruned_kind(kind)
