"""Under which uid an agent is known: assigned by the server, asked for by the agent, or shared by two (S-28 … S-31)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import F

from accounts import services as accounts
from accounts.models import User
from agents.instance_uids import new_instance_uid
from agents.models import Agent, AgentEvent, Transport
from agents.services import duplicate_uids
from agents.services.arrivals import Arrival, http_expiry
from agents.services.batch import ReportingAgent
from agents.services.timeline import write_line
from foundation import wakeups
from foundation.clock import is_ahead

Kind = AgentEvent.Kind
# Stands for the lease of an agent that polled: a stay over HTTP is not bound to a connection.
_POLLS = "http"


@transaction.atomic
def assign_instance_uid(agent: Agent, *, by: User | None, at: datetime) -> UUID:
    """Have the agent take a new uid; its row and history move there with its first message under it (S-30).

    Returns the uid, which is the waiting one when an earlier assignment is not used yet. Told once on each connection.
    """
    row = Agent.objects.select_for_update().get(pk=agent.pk)
    if row.next_instance_uid is not None:
        return row.next_instance_uid
    row.next_instance_uid, row.next_uid_lease = new_instance_uid(), ""
    row.save(update_fields=["next_instance_uid", "next_uid_lease"])
    said = {"assigned": str(row.next_instance_uid)}
    write_line(AgentEvent(agent=row, at=at, kind=Kind.IDENTITY, data={**said, "by": by.get_username() if by else ""}))
    accounts.record(by=by, verb="agent.assign_uid", target=row, name=row.name_and_host(), data=said)
    wakeups.wake([row.instance_uid])
    return row.next_instance_uid


def untold_uids(limit: int = 5_000) -> list[UUID]:
    """Connected agents not told their new uid on this connection: what a process looks at in case the wake-up was lost."""
    waiting = Agent.objects.filter(next_instance_uid__isnull=False, connected=True)
    return list(waiting.exclude(next_uid_lease=F("lease_id")).values_list("instance_uid", flat=True)[:limit])


def uids_asked_for(uids: Sequence[UUID], *, beside: Sequence[UUID], at: datetime) -> dict[UUID, UUID]:
    """A uid for each agent that sent RequestInstanceUid under one of ``uids`` (S-28); inside the caller's transaction.

    ``beside`` are the other agents of the batch, which are locked with them, in one order.
    A temporary uid never becomes a member of the fleet. A member that asks keeps its row: it moves to the new uid.
    """
    answers = {uid: new_instance_uid() for uid in uids}
    for row in Agent.objects.filter(instance_uid__in=[*uids, *beside]).locked():
        if row.instance_uid not in answers:
            continue
        if row.next_instance_uid is None:
            row.next_instance_uid = answers[row.instance_uid]
            row.save(update_fields=["next_instance_uid"])
            write_line(AgentEvent(agent=row, at=at, kind=Kind.IDENTITY, data={"asked_for": str(row.next_instance_uid)}))
        answers[row.instance_uid] = row.next_instance_uid
    return answers


def move_to_new_uid(uids: Sequence[UUID]) -> dict[UUID, Agent]:
    """Agents that now use the uid we assigned to them keep their row and history (S-30)."""
    moved: dict[UUID, Agent] = {}
    waiting = Agent.objects.select_related("reported", "presence").filter(next_instance_uid__in=uids)
    for agent in waiting.locked():
        new = agent.next_instance_uid
        if new is None:
            continue
        former, agent.instance_uid, agent.next_instance_uid = agent.instance_uid, new, None
        agent.next_uid_lease = ""
        agent.save(update_fields=["instance_uid", "next_instance_uid", "next_uid_lease"])
        write_line(
            AgentEvent(
                agent=agent,
                at=agent.presence.last_seen_at,
                kind=Kind.IDENTITY,
                data={"former": str(former), "new": str(new)},
            )
        )
        moved[new] = agent
    return moved


def tell_duplicates_apart(entry: ReportingAgent, *, owned: bool, at: datetime) -> None:
    """Note whether another agent speaks under this uid (S-31), and who keeps it."""
    row, arrival = entry.agent, entry.arrival
    if row.rivalry == duplicate_uids.FOREIGN_STATE:
        _forget_foreign_state(entry)
        entry.change("rivalry", None)
    rivalry = duplicate_uids.Rivalry.read(row.rivalry)
    if not owned:
        if row.connected and (arrival.claimed or _overtaken(arrival, row, at)):
            _hear_displaced(entry, rivalry, at)
        elif row.connected:
            _displace(entry, at)
    elif rivalry is not None and row.rival_lease:
        if not rivalry.proven:
            entry.change("rivalry", rivalry.after_owner().stored())
        elif rivalry.opened <= _opened(row):
            _give_back(entry, rivalry, at)
        else:
            entry.change("rivalry", replace(rivalry, expelled=True).stored())
    elif arrival.over_http:
        _compare_series(entry, at)


def _overtaken(arrival: Arrival, row: Agent, at: datetime) -> bool:
    """True for the first word on a connection older than the one that has the agent: its client opened that one since.

    A connection that carried others before is a gateway's; an agent may come to it later. One that was opened in the future
    was there before a clock was put back.
    """
    opened_at, its = arrival.lease.opened_at, row.lease_opened_at
    older = opened_at is not None and its is not None and opened_at < its and not is_ahead(its, at)
    return older and arrival.first_word


def _hear_displaced(entry: ReportingAgent, rivalry: duplicate_uids.Rivalry | None, at: datetime) -> None:
    """A connection speaks that another one displaced: it changes nothing, unless that other one has fallen silent."""
    arrival = entry.arrival
    entry.displaced, entry.first_on_connection = True, False
    if rivalry is None or rivalry.lease not in {arrival.lease.id, _POLLS}:
        return
    if rivalry.expelled:
        entry.displaced = False
        _reassign(entry, kept=entry.agent.remote_address, at=at)
        entry.change("rivalry", None)
        return
    rivalry = rivalry.after_return(arrival.report.sequence_num, at)
    if not rivalry.abandoned:
        entry.change("rivalry", rivalry.stored())
        entry.change("rival_lease", rivalry.lease)
        return
    entry.displaced, entry.first_on_connection = False, True
    _displace(entry, at)
    _forget_foreign_state(entry)


def _displace(entry: ReportingAgent, at: datetime) -> None:
    """The speaker has the agent now; remember from whom, for that one may still be alive."""
    entry.change("rivalry", _displacement(entry, at).stored())
    entry.change("rival_lease", "")


def _forget_foreign_state(entry: ReportingAgent) -> None:
    """Neither the last number nor a full state on its way is this speaker's: it must tell everything."""
    entry.previous_sequence_num = None
    entry.change_state("full_state_requested_at", None)


def _opened(row: Agent) -> str:
    return row.lease_opened_at.isoformat() if row.lease_opened_at else ""


def _displacement(entry: ReportingAgent, at: datetime) -> duplicate_uids.Rivalry:
    row = entry.agent
    return duplicate_uids.Rivalry(
        lease=_POLLS if row.transport == Transport.HTTP else row.lease_id,
        process=row.lease_process,
        transport=row.transport,
        address=row.remote_address,
        opened=_opened(row),
        last=str(entry.previous_sequence_num or 0),
        first=str(entry.arrival.report.sequence_num),
        since=at.isoformat(),
    )


def _give_back(entry: ReportingAgent, rivalry: duplicate_uids.Rivalry, at: datetime) -> None:
    """The former connection keeps the uid; this one, which came later, gets another."""
    polls = rivalry.lease == _POLLS
    entry.change("lease_id", f"http-{uuid4().hex}" if polls else rivalry.lease)
    entry.change("lease_process", rivalry.process)
    entry.change("lease_opened_at", datetime.fromisoformat(rivalry.opened) if rivalry.opened else None)
    entry.change("transport", rivalry.transport)
    entry.presence.expires_at = http_expiry(at, entry.poll_interval) if polls else None
    _return_to(entry, rivalry.address, at)


def _return_to(entry: ReportingAgent, kept: str, at: datetime) -> None:
    _reassign(entry, kept=kept, at=at)
    entry.connection_changed = True
    entry.change("remote_address", kept)
    entry.change("connected_at", at)
    entry.change("rivalry", duplicate_uids.FOREIGN_STATE)


def _reassign(entry: ReportingAgent, *, kept: str, at: datetime) -> None:
    entry.reassigned = new_instance_uid()
    entry.change("rival_lease", "")
    moved = entry.arrival.lease.remote_address
    entry.tell(Kind.IDENTITY, duplicate=True, kept=kept, moved=moved, new=str(entry.reassigned))


def _compare_series(entry: ReportingAgent, at: datetime) -> None:
    row, lease = entry.agent, entry.arrival.lease
    if row.remote_address == lease.remote_address:
        return
    series = duplicate_uids.next_series(
        duplicate_uids.Series.read(row.rivalry),
        address=lease.remote_address,
        sequence_num=entry.arrival.report.sequence_num,
        known_address=row.remote_address,
        known_sequence_num=entry.previous_sequence_num or 0,
    )
    if series is not None and series.proven(lease.remote_address):
        _return_to(entry, series.other, at)
        return
    entry.change("rivalry", series.stored() if series else None)
    entry.change("remote_address", lease.remote_address)
