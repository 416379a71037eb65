"""Who is connected: leases released and taken back, presence written, silent agents and agents of dead processes expired.

A lease is a compare-and-set on ``Agent.lease_id``: releasing touches only rows that still name this connection, so the
late close of an old socket never evicts a newer one (S-34). A released lease is erased; one that expired stays
in the row of the disconnected agent, so that its connection, should it live after all, can take the agent back.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Model, Q

from agents.models import (
    Agent,
    AgentEvent,
    AgentPresence,
    AgentQuerySet,
    Approval,
    ConnectionRecord,
    DuplicateUid,
    ServerProcess,
    Transport,
)
from agents.services.arrivals import Lease, claimed_fields, http_expiry, usual_interval
from agents.services.timeline import write_lines
from foundation.bulk_sql import bulk_save, bulk_update
from foundation.clock import READING_SLACK, is_ahead

logger = logging.getLogger(__name__)

_BATCH = 1_000
# Clocks of machines may differ by this much before a deadline counts as one of a clock that jumped.
_CLOCK_SLACK = timedelta(seconds=60)
# Three of the longest intervals that can be offered.
_LONGEST_PROMISE = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What heartbeats left in memory for one agent: the newest only.

    ``lease_id`` names the connection it was heard on, ``""`` for plain HTTP; there ``poll_interval`` is its promise.
    """

    agent_id: int
    last_seen_at: datetime
    sequence_num: int
    lease_id: str
    poll_interval: timedelta


class WrittenSightings(NamedTuple):
    """``displaced``: agents that another connection has, or that another one speaks for too; look at their rows again."""

    written: int
    displaced: frozenset[int]


@dataclass(frozen=True, slots=True)
class Claim:
    """An agent behind a WebSocket of this process, whatever its row says."""

    agent_id: int
    lease: Lease


def release_leases(lease_ids: Sequence[str], *, reason: str, at: datetime) -> int:
    """Mark all agents of these closed connections disconnected, those alone that still belong to them; returns how many.

    One call takes many connections, 1,000 in a transaction: after a network fault thousands close together.
    """
    keys = [key for key in lease_ids if key]
    parts = (keys[start : start + _BATCH] for start in range(0, len(keys), _BATCH))
    return sum(_release(part, reason=reason, at=at) for part in parts)


@transaction.atomic(durable=True)
def _release(lease_ids: Sequence[str], *, reason: str, at: datetime) -> int:
    displaced = list(DuplicateUid.objects.filter(lease_id__in=lease_ids).values_list("agent_id", flat=True))
    concerned = Agent.objects.filter(Q(lease_id__in=lease_ids) | Q(pk__in=displaced))
    agents = list(concerned.locked().only("lease_id"))
    owned = Agent.objects.filter(pk__in=[agent.pk for agent in agents if agent.lease_id in lease_ids])
    released = disconnect(owned, reason=reason, at=at)
    owned.update(lease_id="")
    if displaced:
        # A displaced connection that closes was the old socket of a reconnect, however late it spoke (S-31).
        DuplicateUid.objects.filter(agent_id__in=displaced, lease_id__in=lease_ids).delete()
    return released


def held_by(process_id: str) -> int:
    """How many agents are connected through WebSockets of this process, as their rows tell."""
    return Agent.objects.filter(lease_process=process_id, connected=True, transport=Transport.WEBSOCKET).count()


@transaction.atomic(durable=True)
def note_sightings(sightings: Sequence[Sighting], *, at: datetime) -> WrittenSightings:
    """Write a batch of last-seen times and sequence numbers as of ``at``, 1,000 agents at a time.

    Left out: agents deleted meanwhile; those whose report is being recorded right now, for it says the same or more, and
    the two batches must not wait for each other's rows; those heard later by another process, and those another
    connection has. A row of the future was written before a clock was put back, and is no later word.
    """
    written = 0
    displaced: set[int] = set()
    for start in range(0, len(sightings), _BATCH):
        batch = {item.agent_id: item for item in sightings[start : start + _BATCH]}
        presences = AgentPresence.objects.filter(agent_id__in=batch)
        if connection.features.has_select_for_update_skip_locked:
            presences = presences.select_for_update(skip_locked=True, of=("self",))
        rows = []
        for row in presences.values_list(
            "agent_id",
            "last_seen_at",
            "sequence_num",
            "agent__connected",
            "agent__transport",
            "agent__lease_id",
            "agent__duplicate_uid__stage",
            "agent__duplicate_uid__returns",
        ):
            key, last_seen_at, sequence_num, connected, transport, lease_id, stage, returns = row
            item = batch[key]
            is_http = not item.lease_id
            owned = connected and (transport == Transport.HTTP if is_http else lease_id == item.lease_id)
            if not owned or (stage == DuplicateUid.Stage.CONNECTIONS and returns):
                displaced.add(key)
            if not owned or (last_seen_at > item.last_seen_at and not is_ahead(last_seen_at, at)):
                continue
            if sequence_num > item.sequence_num and item.last_seen_at - last_seen_at < READING_SLACK:
                continue
            rows.append(
                AgentPresence(
                    agent_id=key,
                    last_seen_at=item.last_seen_at,
                    sequence_num=item.sequence_num,
                    expires_at=http_expiry(item.last_seen_at, item.poll_interval) if is_http else None,
                )
            )
        bulk_update(rows, ["last_seen_at", "sequence_num", "expires_at"])
        written += len(rows)
    return WrittenSightings(written, frozenset(displaced))


@transaction.atomic(durable=True)
def reclaim(claims: Sequence[Claim], *, at: datetime) -> list[int]:
    """Connect agents again whose leases others expired; returns which.

    Only rows that still name the lease: an agent that came back elsewhere, or took its leave, stays so; one that is shut
    out, too.
    """
    restored: list[int] = []
    ordered = sorted(claims, key=attrgetter("agent_id"))
    for start in range(0, len(ordered), _BATCH):
        leases = {claim.agent_id: claim.lease for claim in ordered[start : start + _BATCH]}
        expired = Agent.objects.filter(pk__in=leases, connected=False, credential_revoked_at=None)
        expired = expired.exclude(approval=Approval.REJECTED)
        agents = [agent for agent in expired.locked() if agent.lease_id == leases[agent.pk].id]
        changes: list[tuple[Model, set[str]]] = []
        for agent in agents:
            fields = claimed_fields(leases[agent.pk], at)
            for name, value in fields.items():
                setattr(agent, name, value)
            changes.append((agent, set(fields)))
        bulk_save(changes)
        ConnectionRecord.objects.bulk_create(
            ConnectionRecord(
                agent=agent,
                lease_id=agent.lease_id,
                transport=agent.transport,
                remote_address=agent.remote_address,
                connected_at=at,
            )
            for agent in agents
        )
        write_lines(
            AgentEvent(
                agent=agent,
                at=at,
                kind=AgentEvent.Kind.CONNECTED,
                data={"transport": agent.transport, "remote_address": agent.remote_address, "resumed": True},
            )
            for agent in agents
        )
        restored += [agent.pk for agent in agents]
    if restored:
        logger.warning("agents taken back: their leases had expired", extra={"count": len(restored)})
    return restored


def renew_deadlines(*, at: datetime) -> int:
    """Give HTTP agents the time they were promised anew, counted from ``at``; returns how many.

    After a jump of the clock: deadlines set before it mean nothing now, in either direction, and the agents poll on.
    """
    renewed = 0
    last = 0
    while keys := list(
        Agent.objects.filter(connected=True, transport=Transport.HTTP, pk__gt=last)
        .order_by("pk")
        .values_list("pk", flat=True)[:_BATCH]
    ):
        last = keys[-1]
        renewed += _renew(keys, at)
    return renewed


@transaction.atomic(durable=True)
def _renew(keys: Sequence[int], at: datetime) -> int:
    # Agents before their presence, as batches of reports lock them.
    len(Agent.objects.filter(pk__in=keys).locked().only("pk"))
    usual = http_expiry(at, usual_interval()) - at
    rows = AgentPresence.objects.filter(agent_id__in=keys, expires_at__isnull=False).order_by("agent_id")
    presences = list(rows.select_for_update(of=("self",)))
    for row in presences:
        # Both were set at the same moment, so their distance is what was promised.
        promised = (row.expires_at or at) - row.last_seen_at
        row.expires_at = at + (promised if timedelta() < promised <= _LONGEST_PROMISE else usual)
        row.last_seen_at = min(row.last_seen_at, at)
    bulk_update(presences, ["last_seen_at", "expires_at"])
    return len(presences)


@transaction.atomic(durable=True)
def expire_agents(*, at: datetime) -> int:
    """Disconnect HTTP agents past their deadline; returns how many.

    Any process may run it at any time: each step is a compare-and-set, so two at once do no harm. Silence of a healthy
    WebSocket is no reason (S-74). A deadline that was set at a moment yet to come was set by a clock that jumped,
    and is moved to where it belongs.
    """
    impossible = Q(last_seen_at__gt=at + _CLOCK_SLACK, expires_at__isnull=False)
    overdue = Q(expires_at__lt=at)
    found = AgentPresence.objects.order_by("agent_id").values_list("agent_id", flat=True)
    keys = [*found.filter(impossible)[:_BATCH], *found.filter(overdue, agent__connected=True)[:_BATCH]]
    if not keys:
        return 0
    # Agents before their presence, as batches of reports lock them.
    agents = Agent.objects.filter(pk__in=keys)
    len(agents.locked().only("pk"))
    presences = AgentPresence.objects.filter(agent_id__in=keys)
    presences.filter(impossible).update(last_seen_at=at, expires_at=http_expiry(at, usual_interval()))
    silent = agents.filter(transport=Transport.HTTP, presence__expires_at__lt=at)
    expired = disconnect(silent, reason="silent", at=at)
    presences.filter(overdue).update(expires_at=None)
    return expired


@transaction.atomic(durable=True)
def expire_process(process_id: str, *, beat_at: datetime | None, at: datetime) -> int:
    """Take a process for dead that has not beaten since ``beat_at`` (``None``: that has no row); returns how many agents it had.

    Its row goes in the same transaction: should it live after all, its next beat finds no row, and it takes them back.
    """
    if beat_at is not None:
        gone, _ = ServerProcess.objects.filter(id=process_id, beat_at=beat_at).delete()
        if not gone:
            return 0
    held = Agent.objects.filter(lease_process=process_id)
    if beat_at is None:
        held = held.exclude(lease_process__in=ServerProcess.objects.values("id"))
    return disconnect(held, reason="server process lost", at=at)


def disconnect(agents: AgentQuerySet, *, reason: str, at: datetime) -> int:
    """Compare-and-set ``connected`` and tell timeline and history; the rows' selection is the condition."""
    keys = list(agents.filter(connected=True).locked().values_list("pk", flat=True))
    for start in range(0, len(keys), _BATCH):
        part = keys[start : start + _BATCH]
        Agent.objects.filter(pk__in=part).update(connected=False, lease_process="", disconnected_at=at)
        ConnectionRecord.objects.filter(agent_id__in=part, disconnected_at=None).update(
            disconnected_at=at, reason=reason[:64]
        )
        write_lines(
            AgentEvent(agent_id=key, at=at, kind=AgentEvent.Kind.DISCONNECTED, data={"reason": reason}) for key in part
        )
    if keys:
        logger.info("agents disconnected", extra={"count": len(keys), "reason": reason})
    return len(keys)
