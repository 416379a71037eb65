"""Under which uid an agent is known: assigned by the server, asked for by the agent, or shared by two (S-28 … S-31)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import F

from accounts import services as accounts
from accounts.models import User
from agents.instance_uids import new_instance_uid
from agents.models import Agent, AgentEvent, DuplicateUid
from agents.services import duplicate_uids
from agents.services.arrivals import Arrival, http_expiry
from agents.services.batch import ReportingAgent
from agents.services.offers import MOST_PENDING
from agents.services.timeline import write_line
from foundation import wakeups
from foundation.clock import is_ahead

Kind = AgentEvent.Kind
Stage = DuplicateUid.Stage


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


def untold_uids(limit: int = MOST_PENDING) -> list[UUID]:
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
    waiting = Agent.objects.select_related("reported", "presence", "duplicate_uid").filter(next_instance_uid__in=uids)
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
    known = duplicate_uids.known_duplicate(row)
    if known is not None and known.stage == Stage.TOLD_APART:
        _forget_foreign_state(entry)
        _remember(entry, duplicate_uids.begin(None))
    if not owned:
        if row.connected and (arrival.claimed or _overtaken(arrival, row, at)):
            _hear_displaced(entry, known, at)
        elif row.connected:
            _displace(entry, at)
    elif known is not None and duplicate_uids.both_speak(known):
        _hear_successor(entry, known, at)
    elif arrival.over_http:
        _compare_series(entry, known, at)
    known = duplicate_uids.known_duplicate(row)
    if known is not None and not known.stage:
        entry.work.delete(known)


def _overtaken(arrival: Arrival, row: Agent, at: datetime) -> bool:
    """True for the first word on a connection older than the one that has the agent: its client opened that one since.

    A connection that carried others before is a gateway's; an agent may come to it later. One that was opened in the future
    was there before a clock was put back.
    """
    opened_at, its = arrival.lease.opened_at, row.lease_opened_at
    older = opened_at is not None and its is not None and opened_at < its and not is_ahead(its, at)
    return older and arrival.first_word


def _hear_displaced(entry: ReportingAgent, known: DuplicateUid | None, at: datetime) -> None:
    """A connection speaks that another one displaced: it changes nothing, unless that other one has fallen silent."""
    arrival = entry.arrival
    entry.displaced, entry.first_on_connection = True, False
    if (
        known is None
        or known.stage != Stage.CONNECTIONS
        or known.lease_id not in {arrival.lease.id, DuplicateUid.POLLS}
    ):
        return
    if known.must_move:
        entry.displaced = False
        _reassign(entry, kept=entry.agent.remote_address, at=at)
        _remember(entry, duplicate_uids.begin(None))
        return
    _remember(entry, duplicate_uids.after_return(known, arrival.report.sequence_num, at))
    if duplicate_uids.speaks_alone(known):
        entry.displaced, entry.first_on_connection = False, True
        _displace(entry, at)
        _forget_foreign_state(entry)


def _hear_successor(entry: ReportingAgent, known: DuplicateUid, at: datetime) -> None:
    """The connection that has the agent speaks, after the one that it displaced did."""
    opened_at = entry.agent.lease_opened_at
    if not duplicate_uids.are_two_agents(known):
        _remember(entry, duplicate_uids.after_successor())
    elif known.lease_opened_at is None or (opened_at is not None and known.lease_opened_at <= opened_at):
        _give_back(entry, known, at)
    else:
        _remember(entry, {"must_move": True})


def _displace(entry: ReportingAgent, at: datetime) -> None:
    """The speaker has the agent now; remember from whom, for that one may still be alive."""
    first = entry.arrival.report.sequence_num
    last = entry.previous_sequence_num or 0
    _remember(
        entry,
        duplicate_uids.displaced_connection(entry.agent, sequence_num=last, successor_sequence_num=first, at=at),
    )


def _remember(entry: ReportingAgent, fields: duplicate_uids.Fields) -> None:
    """Set these fields of what is known of a second agent; its row is made with the first of them."""
    known = duplicate_uids.known_duplicate(entry.agent)
    if known is None:
        if not fields["stage"]:
            return
        known = DuplicateUid(agent=entry.agent)
        entry.work.insert(known)
    for name, value in fields.items():
        entry.work.change(known, name, value)


def _forget_foreign_state(entry: ReportingAgent) -> None:
    """Neither the last number nor a full state on its way is this speaker's: it must tell everything."""
    entry.previous_sequence_num = None
    entry.change_state("full_state_requested_at", None)


def _give_back(entry: ReportingAgent, known: DuplicateUid, at: datetime) -> None:
    """The former connection keeps the uid; this one, which came later, gets another."""
    polls = known.lease_id == DuplicateUid.POLLS
    entry.change("lease_id", f"http-{uuid4().hex}" if polls else known.lease_id)
    entry.change("lease_process", known.lease_process)
    entry.change("lease_opened_at", known.lease_opened_at)
    entry.change("transport", known.transport)
    entry.presence.expires_at = http_expiry(at, entry.poll_interval) if polls else None
    _return_to(entry, known.remote_address, at)


def _return_to(entry: ReportingAgent, kept: str, at: datetime) -> None:
    _reassign(entry, kept=kept, at=at)
    entry.connection_changed = True
    entry.change("remote_address", kept)
    entry.change("connected_at", at)
    # The stored state was told by the other agent: whoever speaks next under this uid must tell everything.
    _remember(entry, duplicate_uids.begin(Stage.TOLD_APART))


def _reassign(entry: ReportingAgent, *, kept: str, at: datetime) -> None:
    entry.reassigned = new_instance_uid()
    moved = entry.arrival.lease.remote_address
    entry.tell(Kind.IDENTITY, duplicate=True, kept=kept, moved=moved, new=str(entry.reassigned))


def _compare_series(entry: ReportingAgent, known: DuplicateUid | None, at: datetime) -> None:
    row, lease = entry.agent, entry.arrival.lease
    if row.remote_address == lease.remote_address:
        return
    fields = duplicate_uids.next_series(
        known,
        address=lease.remote_address,
        sequence_num=entry.arrival.report.sequence_num,
        known_address=row.remote_address,
        known_sequence_num=entry.previous_sequence_num or 0,
    )
    _remember(entry, fields)
    if known is not None and duplicate_uids.is_second_agent(known, lease.remote_address):
        _return_to(entry, known.remote_address, at)
        return
    entry.change("remote_address", lease.remote_address)
