"""The packages app: what agents should have installed."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PackagesConfig(AppConfig):
    """Stands on agents and rollouts; registers what they need to know of it when Django is ready."""

    name = "packages"
    verbose_name = _("Packages")

    def ready(self) -> None:
        from agents import extensions
        from agents.filters import register_agent_filter
        from foundation.navigation import Task, place_lists
        from packages import package_words, packages_shown
        from packages.opamp import PackageOffer
        from packages.services.version_rollouts import PACKAGE_SUBJECT
        from rollouts.released_kinds import register_released

        package_words.register()
        place_lists(Task.PACKAGES, "packages.package")
        for kind in packages_shown.TIMELINE_KINDS:
            extensions.register_timeline_kind(kind)
        extensions.register_panel(packages_shown.PANEL)
        register_agent_filter(
            "upgrade_available",
            packages_shown.upgradable_keys,
            help_text="They have not installed what they should, or a newer version of it was uploaded.",
        )
        register_released(PACKAGE_SUBJECT, PackageOffer)
