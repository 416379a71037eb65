"""Records what agents report: many reports in one transaction (group commit), each merged into its agent's rows.

Knows nothing of configurations or of the wire; the caller owns the transaction and decides what to answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from agents.models import (
    Agent,
    AgentEvent,
    AgentPresence,
    ConnectionRecord,
    ReportedState,
    Transport,
)
from agents.services import credentials
from agents.services.arrivals import Arrival, Lease, Recorded
from agents.services.documents import DOCUMENT_GRACE, documents_of, store_documents, stored_of
from agents.services.identity import move_to_new_uid, tell_rivals_apart
from agents.services.merging import agent_name, merge_report
from agents.services.quotas import Quotas
from agents.services.timeline import write_reported_lines
from foundation.bulk_sql import bulk_insert, bulk_read, bulk_save, bulk_update, reserve_keys
from foundation.clock import is_ahead

__all__ = ["DOCUMENT_GRACE", "Arrival", "Lease", "Recorded", "agent_name", "record_reports", "save_recorded"]

Kind = AgentEvent.Kind
# A full state that was asked for and did not come within this time may be asked for again (S-44).
FULL_STATE_PATIENCE = timedelta(seconds=60)
_PRESENCE_FIELDS = ["last_seen_at", "sequence_num", "message_digest", "expires_at"]


def record_reports(arrivals: Sequence[Arrival], *, at: datetime, quotas: Quotas | None = None) -> list[Recorded]:
    """Merge reports of *distinct* agents into their rows; must run inside a transaction.

    Agents never seen are registered. Nothing is written yet for the rows that the caller may still change: it ends
    with `save_recorded`. Rows are locked in the order of their keys, so that two batches cannot wait for each other.
    Of a speaker who may not speak for its agent nothing is recorded but the ``denial``. ``quotas`` bound newcomers and what is
    stored; without them nothing does.
    """
    uids = [arrival.report.instance_uid for arrival in arrivals]
    # Unknown here may be a uid that we assigned, so that the agent's row still has the former one.
    strangers = [arrival.report.instance_uid for arrival in arrivals if arrival.known_sequence_num is None]
    named = {"instance_uid": uids, "next_instance_uid": strangers}
    found = bulk_read(Agent, named, beside=("reported", "presence"), locked=True)
    wanted = frozenset(uids)
    rows = {row.instance_uid: row for row in found if row.instance_uid in wanted}
    # Of strangers the rows just found say whether they have moved: mostly nobody has.
    settled = frozenset(strangers).difference(row.next_instance_uid for row in found)
    moved = [uid for uid in uids if uid not in rows and uid not in settled]
    if moved:
        rows.update(move_to_new_uid(moved))
    known_maps = _known_component_maps(arrivals, rows)
    recorded = []
    for arrival in arrivals:
        row = rows.get(arrival.report.instance_uid)
        entry = _known(arrival, row, at) if row is not None else _newcomer(arrival, at)
        entry.known_maps = known_maps
        recorded.append(entry)
    if quotas is not None:
        quotas.judge_newcomers(recorded)
    admitted = [entry for entry in recorded if entry.denial is None]
    speaking = [entry for entry in admitted if not (entry.displaced or entry.reassigned)]
    for entry in speaking:
        entry.documents = documents_of(entry.arrival.report)
    stored = stored_of(speaking)
    if quotas is not None:
        quotas.weigh(speaking, stored, at)
    for entry in admitted:
        credentials.note_use(entry, at)
        if entry.displaced or entry.reassigned:
            entry.presence.last_seen_at = at
        else:
            merge_report(entry, at)
    newcomers = [entry for entry in admitted if entry.is_new]
    for entry, key in zip(newcomers, reserve_keys(Agent, len(newcomers)), strict=True):
        entry.agent.pk = entry.state.agent_id = entry.presence.agent_id = key
        for event in entry.events:
            event.agent_id = key
    store_documents(speaking, stored, at)
    _keep_history(admitted, at)
    return recorded


def save_recorded(recorded: Sequence[Recorded]) -> None:
    """Write newcomers, changed fields, the hot row, the timeline. Same transaction as `record_reports`, whose entries with
    a denial the caller leaves out.

    Newcomers are inserted here and not before, so that what the caller decides about them costs no second statement;
    foreign keys to them are checked when the transaction commits.
    """
    write_reported_lines(recorded)
    newcomers = [entry for entry in recorded if entry.is_new]
    known = [entry for entry in recorded if not entry.is_new]
    bulk_insert(entry.agent for entry in newcomers)
    bulk_insert(entry.state for entry in newcomers)
    bulk_insert(entry.presence for entry in newcomers)
    bulk_save((entry.agent, entry.dirty) for entry in known)
    bulk_save((entry.state, entry.dirty_state) for entry in known)
    bulk_update((entry.presence for entry in known), _PRESENCE_FIELDS)


# --- Rows --------------------------------------------------------------------------------------------------------


def _known(arrival: Arrival, row: Agent, at: datetime) -> Recorded:
    state, presence, report = row.reported, row.presence, arrival.report
    if arrival.over_http:
        owned = row.connected and row.transport == Transport.HTTP
    else:
        owned = row.connected and row.lease_id == arrival.lease.id
    remembered = arrival.known_sequence_num
    if remembered is None or arrival.known_at is None or _heard_since(presence, arrival.known_at, at):
        remembered = presence.sequence_num
    entry = Recorded(
        arrival=arrival,
        agent=row,
        state=state,
        presence=presence,
        is_new=False,
        previous_sequence_num=remembered,
        first_on_connection=not owned,
        full_state_outstanding=False,
        repeated=bool(arrival.digest)
        and arrival.digest == presence.message_digest
        and report.sequence_num == presence.sequence_num,
        denial=credentials.denial_of(row, arrival),
    )
    if entry.denial is not None:
        return entry
    tell_rivals_apart(entry, owned=owned, at=at)
    requested_at = state.full_state_requested_at
    if requested_at is not None:
        # On a new connection the answer to an old request can no longer come; over HTTP the request itself may be lost.
        waited = at - requested_at >= FULL_STATE_PATIENCE or is_ahead(requested_at, at)
        overdue = arrival.over_http and (entry.repeated or waited)
        entry.full_state_lost = entry.first_on_connection or overdue
        entry.full_state_outstanding = not entry.full_state_lost
    return entry


def _heard_since(presence: AgentPresence, known_at: datetime, at: datetime) -> bool:
    """True when the row is newer than memory; one of the future was written before the clock was put back."""
    return known_at < presence.last_seen_at and not is_ahead(presence.last_seen_at, at)


def _newcomer(arrival: Arrival, at: datetime) -> Recorded:
    uid = arrival.report.instance_uid
    agent = Agent(instance_uid=uid, name=str(uid), first_seen_at=at)
    entry = Recorded(
        arrival=arrival,
        agent=agent,
        state=ReportedState(agent=agent),
        presence=AgentPresence(agent=agent, last_seen_at=at),
        is_new=True,
        previous_sequence_num=None,
        first_on_connection=True,
        full_state_outstanding=False,
        relabelled=True,
        denial=credentials.denial_of(None, arrival),
    )
    entry.note(Kind.REGISTERED, at, transport=arrival.lease.transport.value)
    return entry


def _known_component_maps(arrivals: Sequence[Arrival], rows: Mapping[UUID, Agent]) -> dict[str, str]:
    """Documents of the component maps whose hash alone is reported here, by that hash; ``""`` is nobody's hash.

    One short query for each *distinct* hash, for a version of a Collector has one: a query for all of them would read
    every agent that reported one.
    """
    wanted: set[str] = set()
    for arrival in arrivals:
        components = arrival.report.available_components
        if components is not None and components.components is None:
            row = rows.get(arrival.report.instance_uid)
            reported = components.hash.hex()[:128]
            if row is None or row.reported.components_id is None or row.reported.components_hash != reported:
                wanted.add(reported)
    if not wanted:
        return {}
    told = ReportedState.objects.filter(components__isnull=False).order_by().values_list("components_id", flat=True)
    found = {key: told.filter(components_hash=key)[:1] for key in wanted if key}
    return {key: document for key, documents in found.items() for document in documents if document is not None}


def _keep_history(recorded: Sequence[Recorded], at: datetime) -> None:
    """Close the connection records of agents that left or came on another connection; open those of the latter."""
    opened = [entry for entry in recorded if entry.first_on_connection or entry.connection_changed]
    closed = (
        ("replaced", [entry for entry in opened if not entry.connection_changed]),
        ("duplicate uid", [entry for entry in opened if entry.connection_changed]),
        ("agent disconnected", [entry for entry in recorded if entry.left]),
    )
    for reason, entries in closed:
        known = [entry.agent.pk for entry in entries if not entry.is_new]
        if known:
            ConnectionRecord.objects.filter(agent_id__in=known, disconnected_at=None).update(
                disconnected_at=at, reason=reason
            )
    bulk_insert(
        ConnectionRecord(
            agent=entry.agent,
            lease_id=entry.agent.lease_id,
            transport=entry.agent.transport,
            remote_address=entry.agent.remote_address,
            connected_at=at,
        )
        for entry in opened
    )
