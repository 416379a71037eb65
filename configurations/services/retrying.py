"""Offering an agent its configuration once more, at a person's request."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts import services as accounts
from accounts.models import User
from agents.models import Agent, AgentEvent
from agents.reports import AgentCapabilities
from agents.services.timeline import write_line
from configurations.models import Assignment
from configurations.services.assigning import AssignedAgent
from configurations.services.targeting import current_targeting, hold_targeting, rematch
from foundation import wakeups
from foundation.errors import Category, DomainError
from foundation.messages import Message
from foundation.unit_of_work import UnitOfWork


class NothingToRetry(DomainError):
    """The agent has no desired configuration, or cannot take one; the text says which."""

    category = Category.CONFLICT


@transaction.atomic(durable=True)
def retry_offer(agent_id: int, *, by: User | None, at: datetime) -> None:
    """Offer an agent its configuration once more, although it answered (usually FAILED). Raises `NothingToRetry`."""
    if Assignment.objects.filter(agent=agent_id).exclude(rendering_error="").exists():
        # Whoever had no result may have one by now.
        hold_targeting(exclusive=False)
        rematch([agent_id], current_targeting(), at)
    agent = Agent.objects.select_for_update().get(pk=agent_id)
    assignment = Assignment.objects.filter(agent=agent).first()
    if assignment is None or assignment.newest_id is None:
        raise NothingToRetry(
            Message("no-configuration-assigned", "No configuration is assigned to {agent}.", agent=str(agent))
        )
    if not agent.capabilities & AgentCapabilities.ACCEPTS_REMOTE_CONFIG:
        raise NothingToRetry(
            Message("agent-accepts-no-configuration", "{agent} does not accept remote configuration.", agent=str(agent))
        )
    if assignment.rendering_error:
        raise NothingToRetry(
            Message(
                "templates-without-result",
                "The templates have no result for {agent}, so there is nothing to offer: {text}",
                agent=str(agent),
                text=assignment.rendering_error,
            )
        )
    work = UnitOfWork(at)
    AssignedAgent(work, agent, assignment).ask_anew()
    work.save()
    said = {"configuration": agent.configuration_name, "revision": agent.configuration_revision}
    write_line(
        AgentEvent(
            agent=agent,
            at=at,
            kind=AgentEvent.Kind.COMMAND,
            data={"command": "retry", **said, "by": by.get_username() if by else ""},
        )
    )
    accounts.record_all([(agent, agent.name_and_host(), said)], by=by, verb="configuration.retry")
    wakeups.wake([agent.instance_uid])
