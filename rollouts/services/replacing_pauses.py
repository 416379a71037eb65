"""One pause of an agent in the place of another, so that saying the same twice changes nothing."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts.models import User
from agents.models import Agent
from rollouts.models import Freeze
from rollouts.reasons import checked_expiry, checked_reason
from rollouts.services.freezing import pause_agent, resume_agents


@transaction.atomic
def replace_pause(
    agent: Agent, *, reason: str, by: User | None, at: datetime, expires_at: datetime | None = None
) -> Freeze:
    """Offer the agent nothing, for this reason and until then; a pause for another one ends, and one for the same stays.

    It is never free in between: whoever waits is woken after the commit. Raises `InvalidReason`, `InvalidExpiry`.
    """
    reason, expires_at = checked_reason(reason), checked_expiry(expires_at, at)
    len(Agent.objects.filter(pk=agent.pk).locked())
    present = Freeze.objects.active().filter(agent=agent).select_related("agent").first()
    if present is not None:
        if present.reason == reason and present.expires_at == expires_at:
            return present
        resume_agents([agent.pk], by=by, at=at)
    return pause_agent(agent, reason=reason, by=by, at=at, expires_at=expires_at)
