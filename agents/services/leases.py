"""Who is connected: leases released, presence written, silent agents and dead processes expired.

A lease is a compare-and-set on ``Agent.lease_id``: releasing touches only rows that still name this connection, so the
late close of an old socket never evicts a newer one (S-34, defect 5).
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import QuerySet

from agents.models import Agent, AgentEvent, AgentPresence, ConnectionRecord, ServerProcess, Transport
from agents.services.arrivals import http_expiry
from agents.services.bulk import bulk_update

logger = logging.getLogger(__name__)

# A process beats far more often; one that misses this long has lost its agents.
PROCESS_PATIENCE = timedelta(seconds=20)
_BATCH = 1_000


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


class Noted(NamedTuple):
    """``displaced``: agents that another connection has, or that another one speaks for too; look at their rows again."""

    written: int
    displaced: frozenset[int]


@transaction.atomic(durable=True)
def release_leases(lease_ids: Sequence[str], *, reason: str, at: datetime) -> int:
    """Mark all agents of these closed connections disconnected, those alone that still belong to them; returns how many.

    One call takes many connections: after a network fault thousands close together.
    """
    released = 0
    for start in range(0, len(lease_ids), _BATCH):
        owned = Agent.objects.filter(lease_id__in=[key for key in lease_ids[start : start + _BATCH] if key])
        released += _disconnect(owned, reason=reason, at=at)
        # A rival that is gone was the old socket of a reconnect, however late it spoke (S-31).
        Agent.objects.filter(rival_lease__in=[key for key in lease_ids[start : start + _BATCH] if key]).update(
            rival_lease=""
        )
    return released


@transaction.atomic(durable=True)
def note_sightings(sightings: Sequence[Sighting]) -> Noted:
    """Write a batch of last-seen times and sequence numbers, 1,000 agents at a time.

    Left out: agents deleted meanwhile; those whose report is being recorded right now, for it says the same or more, and
    the two batches must not wait for each other's rows; those heard later by another process, and those another
    connection has.
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
            "agent_id", "last_seen_at", "agent__connected", "agent__transport", "agent__lease_id", "agent__rival_lease"
        ):
            key, last_seen_at, connected, transport, lease_id, rival = row
            item = batch[key]
            is_http = not item.lease_id
            owned = connected and (transport == Transport.HTTP if is_http else lease_id == item.lease_id)
            if not owned or rival:
                displaced.add(key)
            if not owned or last_seen_at > item.last_seen_at:
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
    return Noted(written, frozenset(displaced))


def beat(process_id: str, *, started_at: datetime, at: datetime) -> None:
    """Say that this server process lives."""
    ServerProcess.objects.update_or_create(
        id=process_id,
        defaults={"beat_at": at},
        create_defaults={
            "hostname": socket.gethostname()[:255],
            "pid": os.getpid(),
            "started_at": started_at,
            "beat_at": at,
        },
    )


def retire(process_id: str) -> None:
    """Remove a process that ended in order; whatever it still held was released before."""
    ServerProcess.objects.filter(id=process_id).delete()


@transaction.atomic(durable=True)
def expire_agents(*, at: datetime, thorough: bool = True) -> int:
    """Disconnect HTTP agents past their deadline and WebSocket agents of dead processes; returns how many.

    ``thorough``: look at every connected agent for a process that nobody knows any more. Otherwise only those of
    processes known to be dead are looked for, which costs nothing while there is none.

    Any process may run it at any time: each step is a compare-and-set, so two at once do no harm. Silence of a healthy
    WebSocket is no reason (S-74, defect 6).
    """
    overdue = list(
        AgentPresence.objects.filter(expires_at__lt=at, agent__connected=True)
        .order_by("agent_id")
        .values_list("agent_id", flat=True)[:_BATCH]
    )
    expired = 0
    if overdue:
        still = Agent.objects.filter(pk__in=overdue, transport=Transport.HTTP, presence__expires_at__lt=at)
        expired += _disconnect(still, reason="silent", at=at)
        AgentPresence.objects.filter(agent_id__in=overdue, expires_at__lt=at).update(expires_at=None)
    return expired + _expire_dead_processes(at, thorough=thorough)


def _expire_dead_processes(at: datetime, *, thorough: bool) -> int:
    known = list(ServerProcess.objects.all())
    alive = {row.id for row in known if at - row.beat_at < PROCESS_PATIENCE and _runs_here(row)}
    dead = {row.id for row in known} - alive
    websocket = Agent.objects.filter(connected=True, transport=Transport.WEBSOCKET)
    expired = 0
    if thorough:
        expired = _disconnect(websocket.exclude(lease_process__in=alive), reason="server process lost", at=at)
    elif dead:
        expired = _disconnect(websocket.filter(lease_process__in=dead), reason="server process lost", at=at)
    if dead:
        ServerProcess.objects.filter(id__in=dead, beat_at__lt=at - 10 * PROCESS_PATIENCE).delete()
    return expired


def _runs_here(row: ServerProcess) -> bool:
    """False only when the row's process is known to be gone: same host, no such process id."""
    if row.hostname != socket.gethostname()[:255]:
        return True
    try:
        os.kill(row.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _disconnect(agents: QuerySet[Agent], *, reason: str, at: datetime) -> int:
    """Compare-and-set ``connected`` and tell timeline and history; the rows' selection is the condition."""
    rows = agents.filter(connected=True).order_by("id")
    if connection.features.has_select_for_update:
        rows = rows.select_for_update(of=("self",))
    keys = list(rows.values_list("pk", flat=True))
    for start in range(0, len(keys), _BATCH):
        part = keys[start : start + _BATCH]
        Agent.objects.filter(pk__in=part).update(connected=False, lease_id="", lease_process="", disconnected_at=at)
        ConnectionRecord.objects.filter(agent_id__in=part, disconnected_at=None).update(
            disconnected_at=at, reason=reason[:64]
        )
        AgentEvent.objects.bulk_create(
            AgentEvent(agent_id=key, at=at, kind=AgentEvent.Kind.DISCONNECTED, data={"reason": reason}) for key in part
        )
    if keys:
        logger.info("agents disconnected", extra={"count": len(keys), "reason": reason})
    return len(keys)
