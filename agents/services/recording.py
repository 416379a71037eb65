"""Records what agents report: many reports in one transaction (group commit), each merged into its agent's rows.

Knows nothing of configurations or of the wire; the caller owns the transaction and decides what to answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings

from agents.credentials import Denial
from agents.extensions import know_secrets
from agents.models import (
    Agent,
    AgentEvent,
    AgentPresence,
    Approval,
    ConnectionRecord,
    ReportedState,
    Transport,
)
from agents.replies import Reply
from agents.services import components, credentials, ways_in
from agents.services.arrivals import Arrival
from agents.services.batch import Batch, ReportingAgent
from agents.services.documents import documents_of, store_documents, stored_of
from agents.services.identity import move_to_new_uid, tell_duplicates_apart
from agents.services.merging import merge_report
from agents.services.quotas import Quotas
from agents.services.timeline import write_reported_lines
from foundation.bulk_sql import bulk_insert, bulk_read, reserve_keys
from foundation.clock import READING_SLACK, is_ahead
from foundation.events import publish
from foundation.topics import RowChanged

Kind = AgentEvent.Kind
# A full state that was asked for and did not come within this time may be asked for again (S-44).
FULL_STATE_PATIENCE = timedelta(seconds=60)
_AGENT = "agents.agent"
_PRESENCE_FIELDS = ("last_seen_at", "sequence_num", "message_digest", "expires_at")


def record_reports(
    batch: Batch[ReportingAgent], arrivals: Sequence[Arrival], *, quotas: Quotas | None = None
) -> list[ReportingAgent]:
    """Merge reports of *distinct* agents into their rows; returns those whose speaker is denied, for whom nothing is recorded.

    The others are the batch's agents then. Agents never seen are registered. Nothing is written but stored documents and
    the history of connections: `save_reports` does it. Rows are locked in the order of their keys, so that two batches
    cannot wait for each other. ``quotas`` bound newcomers and what is stored; without them nothing does.
    """
    entries, enrolling = _load(batch, arrivals)
    if quotas is not None:
        quotas.judge_newcomers(entries)
    admitted = [entry for entry in entries if entry.denial is None]
    newcomers = [entry for entry in admitted if entry.is_new]
    for entry, key in zip(newcomers, reserve_keys(Agent, len(newcomers)), strict=True):
        entry.agent.pk = entry.state.agent_id = entry.presence.agent_id = key
        for row in (entry.agent, entry.state, entry.presence):
            batch.insert(row)
        entry.tell(Kind.REGISTERED, transport=entry.arrival.lease.transport.value)
    enrolling.note_admitted(admitted)
    _merge(admitted, quotas, batch.at)
    batch.load(admitted)
    return [entry for entry in entries if entry.denial is not None]


def save_reports(batch: Batch[ReportingAgent]) -> None:
    """Write newcomers, changed fields, the hot row, the timeline. Same transaction as `record_reports`.

    Newcomers are inserted here and not before, so that what is decided about them costs no second statement; foreign keys
    to them are checked when the transaction commits.
    """
    write_reported_lines(batch.agents)
    publish(RowChanged, (RowChanged(_AGENT, str(entry.agent.pk)) for entry in batch.agents if _has_news(entry)))
    for entry in batch.agents:
        batch.mark(entry.presence, _PRESENCE_FIELDS)
    batch.save()


def _has_news(entry: ReportingAgent) -> bool:
    """Whether its report changed what pages show, with a line in the timeline or without; a heartbeat changes neither row."""
    return bool(entry.work.changes_of(entry.agent) or entry.work.changes_of(entry.state))


def note_requests(entry: ReportingAgent, reply: Reply) -> None:
    """Remember what ``reply`` asks the agent to tell, so that it is asked once (S-44, S-98)."""
    if reply.report_full_state:
        entry.change_state("full_state_requested_at", entry.work.at)
        entry.tell(Kind.FULL_STATE, sequence_num=str(entry.arrival.report.sequence_num))
    if reply.report_available_components:
        components.note_asked(entry, entry.work.at)


def full_state_due_at(entry: ReportingAgent) -> datetime | None:
    """When a full state that was asked for counts as lost, ``None`` when none is expected."""
    requested_at: datetime | None = entry.state.full_state_requested_at
    return requested_at + FULL_STATE_PATIENCE if requested_at is not None else None


def _load(batch: Batch[ReportingAgent], arrivals: Sequence[Arrival]) -> tuple[list[ReportingAgent], ways_in.Enrolling]:
    uids = [arrival.report.instance_uid for arrival in arrivals]
    # Unknown here may be a uid that we assigned, so that the agent's row still has the former one.
    strangers = [arrival.report.instance_uid for arrival in arrivals if arrival.known_sequence_num is None]
    named = {"instance_uid": uids, "next_instance_uid": strangers}
    found = bulk_read(Agent, named, beside=("reported", "presence", "duplicate_uid"), locked=True)
    wanted = frozenset(uids)
    rows = {row.instance_uid: row for row in found if row.instance_uid in wanted}
    # Of strangers the rows just found say whether they have moved: mostly nobody has.
    known = frozenset(strangers).difference(row.next_instance_uid for row in found)
    moved = [uid for uid in uids if uid not in rows and uid not in known]
    if moved:
        rows.update(move_to_new_uid(moved))
    known_maps = _known_component_maps(arrivals, rows)
    callers = [ways_in.Caller(arrival, rows.get(arrival.report.instance_uid)) for arrival in arrivals]
    enrolling = ways_in.enrol(batch, callers)
    issued = credentials.issued_certificates(arrival.credential for arrival in arrivals)
    entries = []
    for arrival, row in callers:
        denial = credentials.denial_of(row, arrival, issued) or enrolling.denials.get(arrival.report.instance_uid)
        entry = _member(batch, arrival, row, denial) if row is not None else _newcomer(batch, arrival, denial)
        entry.known_maps = known_maps
        entries.append(entry)
    return entries, enrolling


def _merge(admitted: Sequence[ReportingAgent], quotas: Quotas | None, at: datetime) -> None:
    speaking = [entry for entry in admitted if entry.speaks]
    if any(entry.arrival.report.effective_config is not None for entry in speaking):
        # None of the values that may stand in it is stored in clear text.
        know_secrets()
    for entry in speaking:
        entry.documents = documents_of(entry.arrival.report)
    stored = stored_of(speaking)
    if quotas is not None:
        quotas.weigh(speaking, stored, at)
    for entry in admitted:
        credentials.note_use(entry, at)
        if entry.speaks:
            merge_report(entry, at)
            entry.components_asked = entry.components_known or components.asked_lately(entry, at)
        else:
            entry.presence.last_seen_at = at
    store_documents(speaking, stored, at)
    _keep_history(admitted, at)


# --- Rows --------------------------------------------------------------------------------------------------------


def _member(batch: Batch[ReportingAgent], arrival: Arrival, row: Agent, denial: Denial | None) -> ReportingAgent:
    state, presence, report, at = row.reported, row.presence, arrival.report, batch.at
    if arrival.over_http:
        owned = row.connected and row.transport == Transport.HTTP
    else:
        owned = row.connected and row.lease_id == arrival.lease.id
    remembered = arrival.known_sequence_num
    if remembered is None or arrival.known_at is None or _heard_since(presence, remembered, arrival.known_at, at):
        remembered = presence.sequence_num
    entry = ReportingAgent(
        work=batch,
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
        denial=denial,
        reached_at=arrival.lease.reached_at,
    )
    if entry.denial is not None:
        return entry
    tell_duplicates_apart(entry, owned=owned, at=at)
    requested_at = state.full_state_requested_at
    if requested_at is not None:
        # On a new connection the answer to an old request can no longer come; over HTTP the request itself may be lost.
        waited = at - requested_at >= FULL_STATE_PATIENCE or is_ahead(requested_at, at)
        overdue = arrival.over_http and (entry.repeated or waited)
        entry.full_state_lost = entry.first_on_connection or overdue
        entry.full_state_outstanding = not entry.full_state_lost
    return entry


def _heard_since(presence: AgentPresence, sequence_num: int, known_at: datetime, at: datetime) -> bool:
    """True when the row is newer than memory, which is of ``known_at``; one of the future is of before the clock was put back.

    Another process may have written the row, whose reading of the clock is a little behind ours.
    """
    if is_ahead(presence.last_seen_at, at):
        return False
    later = presence.sequence_num > sequence_num and known_at - presence.last_seen_at < READING_SLACK
    return later or known_at < presence.last_seen_at


def _newcomer(batch: Batch[ReportingAgent], arrival: Arrival, denial: Denial | None) -> ReportingAgent:
    uid, at = arrival.report.instance_uid, batch.at
    approval = Approval.PENDING if settings.ENROLMENT_APPROVAL else Approval.APPROVED
    agent = Agent(instance_uid=uid, name=str(uid), first_seen_at=at, approval=approval)
    return ReportingAgent(
        work=batch,
        arrival=arrival,
        agent=agent,
        state=ReportedState(agent=agent),
        presence=AgentPresence(agent=agent, last_seen_at=at),
        is_new=True,
        previous_sequence_num=None,
        first_on_connection=True,
        full_state_outstanding=False,
        relabelled=True,
        denial=denial,
        reached_at=arrival.lease.reached_at,
    )


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


def _keep_history(recorded: Sequence[ReportingAgent], at: datetime) -> None:
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
