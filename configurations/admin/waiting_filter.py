"""The filter of the list of agents for those to whom a rollout has yet to come."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from agents.admin.facets import AmongFacet, register_facet
from configurations.pending_stages import waiting_keys


class WaitsFacet(AmongFacet):
    """Waiting for a stage or not."""

    title = _("waits for a rollout's stage")
    parameter_name = "waits"
    asked_as = "rollout"
    values_asked = {"true": "waiting", "false": "none"}

    def keys(self) -> QuerySet[Any]:
        """Those for whose page `waits_for` has something."""
        return waiting_keys()


def register() -> None:
    """Into the filters of the list of agents."""
    register_facet(WaitsFacet)
