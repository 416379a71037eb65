"""Packages in the list of agents: who could be upgraded."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from agents.admin.facets import AmongFacet, register_facet
from packages.packages_shown import upgradable_keys


class UpgradeFacet(AmongFacet):
    """Agents that have not installed what they should, or for which there is something newer."""

    title = _("upgrade available")
    parameter_name = "upgrade_available"
    asked_as = "upgrade"

    def keys(self) -> QuerySet[Any]:
        """As over REST."""
        return upgradable_keys()


def register() -> None:
    """Into the filters of the list of agents."""
    register_facet(UpgradeFacet)
