"""Approving and rejecting agents: what waits for an approved one is offered at once, a rejected one is refused and closed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts import services as accounts
from accounts.models import User
from agents.models import Agent, AgentEvent, Approval, Transport
from agents.services.bulk_requests import BulkOutcome, chunks
from agents.services.leases import disconnect
from agents.services.timeline import write_lines
from enrolment.enrolment_lines import APPROVAL
from enrolment.errors import NotPending
from foundation import wakeups
from foundation.messages import Message

# What an agent is before it is decided so.
_BEFORE = {Approval.APPROVED: (Approval.PENDING, Approval.REJECTED), Approval.REJECTED: (Approval.PENDING,)}


def approve_agents(agent_ids: Sequence[int], *, by: User | None, at: datetime) -> int:
    """Let agents take part that wait for it or were rejected; returns how many."""
    return len(_decide(agent_ids, Approval.APPROVED, by=by, at=at))


def reject_agents(agent_ids: Sequence[int], *, by: User | None, at: datetime) -> int:
    """Refuse agents that wait for approval, whatever they show, until they are approved; returns how many.

    Live connections are closed by whichever process holds them.
    """
    return len(_decide(agent_ids, Approval.REJECTED, by=by, at=at))


def approve_agent(agent: Agent, *, by: User | None, at: datetime) -> None:
    """`approve_agents` for one. Raises `NotPending` for one that is approved."""
    if not approve_agents([agent.pk], by=by, at=at):
        raise NotPending(_is_approved())


def reject_agent(agent: Agent, *, by: User | None, at: datetime) -> None:
    """`reject_agents` for one. Raises `NotPending` for one that does not wait for approval."""
    if not reject_agents([agent.pk], by=by, at=at):
        raise NotPending(_does_not_wait())


def approve_many(agent_ids: Sequence[int], *, by: User | None, at: datetime) -> BulkOutcome:
    """`approve_agents`, a batch in each transaction and one audit entry for all; those that are approved are skipped."""
    return _to_many(agent_ids, Approval.APPROVED, _is_approved(), by=by, at=at)


def reject_many(agent_ids: Sequence[int], *, by: User | None, at: datetime) -> BulkOutcome:
    """`reject_agents`, likewise; those that do not wait for approval are skipped."""
    return _to_many(agent_ids, Approval.REJECTED, _does_not_wait(), by=by, at=at)


def _is_approved() -> Message:
    return Message("agent-is-approved", "The agent is approved already.")


def _does_not_wait() -> Message:
    return Message(
        "agent-not-pending",
        "The agent does not wait for approval; to shut out one that takes part, revoke its credential.",
    )


def _to_many(
    agent_ids: Sequence[int], wanted: Approval, otherwise: Message, *, by: User | None, at: datetime
) -> BulkOutcome:
    outcome = BulkOutcome()
    with accounts.one_entry():
        for keys in chunks(agent_ids):
            decided = set(_decide(keys, wanted, by=by, at=at))
            outcome.asked += len(decided)
            for uid in Agent.objects.filter(pk__in=keys).order_by("pk").values_list("instance_uid", flat=True):
                if uid not in decided:
                    outcome.skip(uid, otherwise)
    return outcome


@transaction.atomic
def _decide(agent_ids: Sequence[int], wanted: Approval, *, by: User | None, at: datetime) -> list[UUID]:
    rows = list(Agent.objects.filter(pk__in=agent_ids, approval__in=_BEFORE[wanted]).locked())
    keys = [row.pk for row in rows]
    Agent.objects.filter(pk__in=keys).update(approval=wanted)
    said = {"approval": wanted.value, "by": by.get_username() if by else ""}
    write_lines(AgentEvent(agent=row, at=at, kind=APPROVAL, data=said) for row in rows)
    named = [(row, row.name_and_host(), {"instance_uid": str(row.instance_uid)}) for row in rows]
    accounts.record_all(named, by=by, verb="agent.approve" if wanted == Approval.APPROVED else "agent.reject")
    wakeups.wake([row.instance_uid for row in rows])
    if wanted == Approval.REJECTED:
        # One that polls has no connection whose end would say so.
        disconnect(Agent.objects.filter(pk__in=keys, transport=Transport.HTTP), reason="agent rejected", at=at)
    return [row.instance_uid for row in rows]
