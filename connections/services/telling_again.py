"""Having an agent told once more what it failed at, or has not answered: only a person does that."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts import services as accounts
from accounts.models import User
from agents.models import Agent
from connections.errors import NothingToTell
from connections.models import AgentConnection
from connections.services.connection_targeting import hold_connections
from connections.services.settings_of_agents import connections_of
from foundation import wakeups
from foundation.messages import Message
from foundation.unit_of_work import UnitOfWork

Status = AgentConnection.Status


@transaction.atomic
def tell_again(agent_id: int, *, by: User | None, at: datetime) -> None:
    """Offer the agent all of its settings once more, under another hash. Raises `Agent.DoesNotExist`, `NothingToTell`."""
    hold_connections(exclusive=False)
    agent = Agent.objects.locked().get(pk=agent_id)
    work = UnitOfWork(at)
    (connection,) = connections_of([agent], work)
    row = connection.row
    if row is None or not row.wanted or row.status in (Status.APPLIED, Status.PENDING):
        raise NothingToTell(
            Message("no-connection-to-retry", "The agent has, or is about to be told, all that it should.")
        )
    connection.change(
        attempt=row.attempt + 1, told={}, told_before={}, failed={}, offered_lease="", offered_at=None, offer_count=0,
        assigned_at=at,
    )  # fmt: skip
    connection.set_status(Status.PENDING)
    work.save()
    name = row.version.settings.name if row.version is not None else ""
    accounts.record(
        by=by, verb="agent.offer_connection_again", target=agent, name=agent.name_and_host(), data={"settings": name}
    )
    wakeups.wake([agent.instance_uid])
