"""What can be done to many chosen agents about their configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from agents.admin.bulk_actions import BulkAction, register_bulk_action
from agents.models import Agent
from configurations.outcome import AssignmentStatus
from configurations.services import retrying

_ANSWERED = (AssignmentStatus.NONE, AssignmentStatus.INCAPABLE)


def offer_again(agent_ids: Sequence[int], by: User, at: datetime, _values: Mapping[str, Any]) -> int:
    """Offer each its configuration once more; returns how many were asked."""
    done = 0
    for key in agent_ids:
        try:
            retrying.retry_offer(key, by=by, at=at)
        except (retrying.NothingToRetry, Agent.DoesNotExist):
            # Unassigned or forgotten since the page was shown.
            continue
        done += 1
    return done


def register() -> None:
    """Into the menu of the list of agents."""
    register_bulk_action(
        BulkAction(
            name="offer_again",
            label=_("Offer the configuration once more"),
            permission="configurations.change_configuration",
            eligible=~Q(assignment__status__in=[item.value for item in _ANSWERED])
            & (Q(assignment__revision__isnull=False) | Q(assignment__composition__isnull=False)),
            skipped=_("no configuration is assigned, or the agent does not accept one"),
            offline=_("Those offline get it when they connect."),
            run=offer_again,
            done=_("Agents offered their configuration once more: %(count)d."),
        )
    )
