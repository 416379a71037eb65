"""The accounts app: people, roles, API tokens, the audit trail."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """Lowest layer: imports no other app of the project."""

    name = "accounts"
    verbose_name = _("People and access")

    def ready(self) -> None:
        from foundation.navigation import Task, place_lists

        place_lists(Task.ACCESS, "accounts.user", "auth.group", "accounts.apitoken")
        place_lists(Task.AUDIT, "accounts.auditentry")
