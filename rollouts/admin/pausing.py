"""Pausing many chosen agents, and having them go on; and the filter for those that are paused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from agents.admin.bulk_actions import BulkAction, register_bulk_action
from agents.admin.facets import AmongFacet, register_facet
from rollouts.admin.holding_forms import HoldingForm, expiry_of
from rollouts.services import freezing
from rollouts.services.pause_actions import pause_parameters


class PausedFacet(AmongFacet):
    """Paused or not."""

    title = _("paused")
    parameter_name = "paused"
    asked_as = "paused"

    def keys(self) -> QuerySet[Any]:
        """The paused ones."""
        return freezing.paused_keys()


def _pause_of(values: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    return pause_parameters(values["reason"], expiry_of(values, at))


def register() -> None:
    """Into the menu and the filters of the list of agents."""
    register_facet(PausedFacet)
    register_bulk_action(
        BulkAction(name="pause", done=_("Agents paused: %(count)d."), form=HoldingForm, parameters=_pause_of)
    )
    register_bulk_action(
        BulkAction(
            name="resume",
            done=_("Pauses ended: %(count)d."),
            offline=_("Those offline get what waits for them when they connect."),
        )
    )
