"""Pausing many agents, and having them go on, as actions on agents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils.dateparse import parse_datetime

from accounts.models import User
from agents.services.acting import register_agent_action
from agents.services.actions import AgentAction, InvalidParameter, Parameters, must_know
from agents.services.bulk_requests import BulkOutcome
from foundation.messages import Message
from rollouts.reasons import checked_expiry, checked_reason
from rollouts.services import freezing


def pause_chosen(agent_ids: Sequence[int], by: User, at: datetime, parameters: Parameters) -> BulkOutcome:
    """Offer each nothing more."""
    until = parameters["expires_at"]
    expires_at = datetime.fromisoformat(until) if until else None
    if expires_at is not None and expires_at <= at:
        # The end that was chosen has come before their turn did.
        return BulkOutcome()
    return freezing.pause_agents(agent_ids, reason=parameters["reason"], by=by, at=at, expires_at=expires_at)


def pause_parameters(reason: str, expires_at: datetime | None) -> dict[str, Any]:
    """As they are kept."""
    return {"reason": reason, "expires_at": expires_at.isoformat() if expires_at else None}


def read_pause(given: Mapping[str, object], at: datetime) -> dict[str, Any]:
    """``reason``, and ``expires_at`` or none. Raises `InvalidParameter`, `InvalidReason`, `InvalidExpiry`."""
    must_know(given, ("reason", "expires_at"))
    reason, until = given.get("reason"), given.get("expires_at")
    moment = _moment(until) if isinstance(until, str) else None
    if not isinstance(reason, str) or (until is not None and moment is None):
        raise InvalidParameter(
            Message("pause-unreadable", "Send reason, a text, and expires_at, a time with its offset or null.")
        )
    return pause_parameters(checked_reason(reason), checked_expiry(moment, at))


def _moment(text: str) -> datetime | None:
    try:
        moment = parse_datetime(text[:64])
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def resume_chosen(agent_ids: Sequence[int], by: User, at: datetime, _parameters: Parameters) -> BulkOutcome:
    """Go on."""
    return freezing.resume_agents(agent_ids, by=by, at=at)


def register() -> None:
    """In ``AppConfig.ready``."""
    register_agent_action(
        AgentAction(
            name="pause",
            title=Message("action-pause", "Pause"),
            right="agents.change_agent",
            run=pause_chosen,
            eligible=~Q(pk__in=freezing.paused_keys()),
            skipped=Message("paused-already", "it is paused already"),
            read=read_pause,
        )
    )
    register_agent_action(
        AgentAction(
            name="resume",
            title=Message("action-resume", "End the pause"),
            right="agents.change_agent",
            run=resume_chosen,
            eligible=Q(pk__in=freezing.paused_keys()),
            skipped=Message("not-paused", "it is not paused"),
        )
    )
