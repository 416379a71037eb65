"""One batch in one transaction: reports recorded, agents matched, answers decided, everything written (group commit).

Runs in a database thread. Rows come from `agents.services` and `configurations.services`, decisions from `protocol`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from agents.models import Agent, AgentCommand, AgentEvent
from agents.reports import RemoteConfigStatuses
from agents.services import commands
from agents.services.bulk import bulk_insert
from agents.services.recording import Arrival, Lease, Recorded, record_reports, save_recorded
from configurations.remote_config import DesiredConfig
from configurations.services import offers
from configurations.services.targeting import Placement
from opamp_transport import metrics
from opamp_transport.protocol.conversation import Desired, Known, answer, unsolicited
from opamp_transport.protocol.replies import Reply

Kind = AgentCommand.Kind


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one agent's report or ring.

    ``reply`` is ``None`` when a ring found nothing due, ``agent_id`` 0 when the agent is gone. ``more_due``: something
    had to wait for the next message (S-96, S-95).
    """

    agent_id: int
    capabilities: int = 0
    reply: Reply | None = None
    more_due: bool = False


@transaction.atomic(durable=True)
def settle_reports(arrivals: Sequence[Arrival], *, at: datetime) -> list[Settled]:
    """Record reports of distinct agents and decide their replies, in the same order; all or nothing."""
    recorded = record_reports(arrivals, at=at)
    placements = offers.settle_reports(recorded, at=at)
    restarted = [entry.agent.pk for entry in recorded if entry.restarted]
    if restarted:
        commands.observe_restarts(restarted, at=at)
    leases = {entry.agent.pk: entry.agent.lease_id for entry in recorded}
    waiting = commands.pending_commands(list(leases))
    configs = offers.desired_configs(placements, lease_ids=leases, at=at)
    settled = []
    for entry, placement in zip(recorded, placements, strict=True):
        key = entry.agent.pk
        queue = waiting.get(key, [])
        desired = _desired(configs.get(key), queue)
        reply = answer(_known(entry), entry.arrival.report, desired, repeated=entry.arrival.repeated)
        more_due = _note_sent(reply, placement, queue, entry.events, lease_id=leases[key], at=at)
        if reply.report_full_state:
            entry.change_state("full_state_requested_at", at)
            entry.note(AgentEvent.Kind.FULL_STATE, at, sequence_num=str(entry.arrival.report.sequence_num))
        _count(entry)
        settled.append(Settled(key, entry.agent.capabilities, reply, more_due))
    save_recorded(recorded)
    offers.save_settled(placements)
    return settled


@transaction.atomic(durable=True)
def settle_rings(rung: Mapping[UUID, Lease], *, at: datetime) -> dict[UUID, Settled]:
    """What to push to connected agents that a ring, or a look for missed changes, named.

    ``rung`` names each agent's connection in this process; an agent whose lease moved elsewhere meanwhile gets nothing
    from here.
    """
    agents = list(Agent.objects.select_for_update(of=("self",)).filter(instance_uid__in=list(rung)).order_by("id"))
    placements = offers.load_placements(agents, at=at)
    leases = {agent.pk: agent.lease_id for agent in agents}
    waiting = commands.pending_commands(list(leases))
    configs = offers.desired_configs(placements, lease_ids=leases, at=at)
    settled = {uid: Settled(0) for uid in rung}
    events: list[AgentEvent] = []
    for agent, placement in zip(agents, placements, strict=True):
        if agent.lease_id != rung[agent.instance_uid].id:
            settled[agent.instance_uid] = Settled(agent.pk, agent.capabilities)
            continue
        queue = waiting.get(agent.pk, [])
        desired = _desired(configs.get(agent.pk), queue)
        reply = unsolicited(agent.instance_uid, agent.capabilities, desired)
        more_due = False
        if reply is not None:
            more_due = _note_sent(reply, placement, queue, events, lease_id=agent.lease_id, at=at)
        settled[agent.instance_uid] = Settled(agent.pk, agent.capabilities, reply, more_due)
    offers.save_settled(placements, agents_too=True)
    bulk_insert(events)
    return settled


def _known(entry: Recorded) -> Known:
    return Known(
        sequence_num=entry.previous_sequence_num,
        capabilities=entry.agent.capabilities,
        first_on_connection=entry.first_on_connection,
        full_state_outstanding=entry.full_state_outstanding,
        components_known=entry.components_known,
    )


def _desired(config: DesiredConfig | None, queue: Sequence[AgentCommand]) -> Desired:
    """What is wanted of an agent: its configuration, and the oldest waiting command of each kind."""
    message = next((command for command in queue if command.kind == Kind.CUSTOM_MESSAGE), None)
    return Desired(
        config=config,
        restart=any(command.kind == Kind.RESTART for command in queue),
        custom_message=commands.custom_message_of(message) if message else None,
    )


def _note_sent(
    reply: Reply,
    placement: Placement,
    queue: Sequence[AgentCommand],
    events: list[AgentEvent],
    *,
    lease_id: str,
    at: datetime,
) -> bool:
    """Remember what ``reply`` carries, so that it is sent once; true when something had to stay behind."""
    if reply.remote_config is not None:
        metrics.OFFERS.labels("again" if placement.assignment.offer_count else "first").inc()
        events.append(offers.note_offer(placement, lease_id=lease_id, at=at))
    sent = 0
    for kind, travels in ((Kind.RESTART, reply.restart), (Kind.CUSTOM_MESSAGE, reply.custom_message is not None)):
        command = next((command for command in queue if command.kind == kind), None) if travels else None
        if command is not None:
            commands.take(command, at=at)
            sent += 1
    left = len(queue) - sent
    return bool(left) or reply.restart


def _count(entry: Recorded) -> None:
    status = entry.arrival.report.remote_config_status
    if status is not None and status.status is not RemoteConfigStatuses.UNSET:
        metrics.ANSWERS.labels(status.status.name.lower()).inc()
