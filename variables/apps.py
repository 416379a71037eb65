"""The variables app: values that files of configurations are completed with, among them secrets."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class VariablesConfig(AppConfig):
    """Stands on agents; whatever uses variables registers itself (`variables.value_users`)."""

    name = "variables"
    verbose_name = _("Variables and secrets")

    def ready(self) -> None:
        from agents.extensions import register_known_secrets
        from foundation.navigation import Task, place_lists
        from variables import key_checks  # noqa: F401  registers itself
        from variables.services.known_values import know_stored_secrets

        place_lists(Task.CONFIGURATIONS, "variables.variable", "variables.secret")
        register_known_secrets(know_stored_secrets)
