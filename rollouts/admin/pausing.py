"""Pausing many chosen agents, and having them go on; and the filter for those that are paused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from agents.admin.bulk_actions import BulkAction, register_bulk_action
from agents.admin.facets import AmongFacet, register_facet
from rollouts.admin.holding_forms import HoldingForm, expiry_of
from rollouts.services import freezing


class PausedFacet(AmongFacet):
    """Paused or not."""

    title = _("paused")
    parameter_name = "paused"
    asked_as = "paused"

    def keys(self) -> QuerySet[Any]:
        """The paused ones."""
        return freezing.paused_keys()


def pause_chosen(agent_ids: Sequence[int], by: User, at: datetime, values: Mapping[str, Any]) -> int:
    """Offer each nothing more; returns how many were not paused."""
    return freezing.pause_agents(
        agent_ids, reason=values["reason"], by=by, at=at, expires_at=expiry_of(values, at)
    ).asked


def resume_chosen(agent_ids: Sequence[int], by: User, at: datetime, _values: Mapping[str, Any]) -> int:
    """Go on; returns how many were paused."""
    return freezing.resume_agents(agent_ids, by=by, at=at).asked


def register() -> None:
    """Into the menu and the filters of the list of agents."""
    register_facet(PausedFacet)
    register_bulk_action(
        BulkAction(
            name="pause",
            label=_("Pause"),
            permission="agents.change_agent",
            run=pause_chosen,
            done=_("Agents paused: %(count)d."),
            eligible=~Q(pk__in=freezing.paused_keys()),
            skipped=_("it is paused already"),
            form=HoldingForm,
        )
    )
    register_bulk_action(
        BulkAction(
            name="resume",
            label=_("End the pause"),
            permission="agents.change_agent",
            run=resume_chosen,
            done=_("Pauses ended: %(count)d."),
            eligible=Q(pk__in=freezing.paused_keys()),
            skipped=_("it is not paused"),
            offline=_("Those offline get what waits for them when they connect."),
        )
    )
