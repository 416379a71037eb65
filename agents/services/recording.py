"""Records what agents report: many reports in one transaction (group commit), each merged into its agent's rows.

Knows nothing of configurations or of the wire; the caller owns the transaction and decides what to answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import models

from agents.labels import facts_of, labels_of
from agents.models import (
    Agent,
    AgentEvent,
    AgentPresence,
    ConnectionRecord,
    ReportedDocument,
    ReportedState,
    Transport,
)
from agents.reports import (
    AgentDescription,
    AvailableComponents,
    ComponentHealth,
    EffectiveConfig,
    Json,
    RemoteConfigStatus,
    StatusReport,
    capability_names,
    from_unix_nano,
)
from agents.services.bulk import bulk_insert, bulk_save, bulk_update, reserve_keys

Kind = AgentEvent.Kind
# A full state that was asked for and did not come within this time may be asked for again (S-44).
FULL_STATE_PATIENCE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Lease:
    """The connection an agent speaks through.

    ``id`` is unique per WebSocket. Plain HTTP has no connection: there ``id`` is empty, and the agent's stay, from first
    poll to silence, gets an id of its own in whichever process sees its first poll (S-110).
    """

    id: str
    process: str
    transport: Transport
    remote_address: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """One report as it came in.

    ``known_sequence_num`` is this process's memory of the last number, as of ``known_at``: fresher than the row while
    heartbeats wait in presence, staler when another process heard the agent since. ``None`` when the process does not
    know the agent. ``repeated``: the same bytes as the message before (S-46).
    """

    report: StatusReport
    lease: Lease
    known_sequence_num: int | None = None
    known_at: datetime | None = None
    repeated: bool = False


@dataclass(slots=True)
class Recorded:
    """One merged report and what the answer depends on. ``events`` are timeline lines still to be written."""

    arrival: Arrival
    agent: Agent
    state: ReportedState
    presence: AgentPresence
    is_new: bool
    previous_sequence_num: int | None
    first_on_connection: bool
    full_state_outstanding: bool
    components_known: bool = False
    relabelled: bool = False
    left: bool = False
    restarted: bool = False
    dirty: set[str] = field(default_factory=set)
    dirty_state: set[str] = field(default_factory=set)
    events: list[AgentEvent] = field(default_factory=list)

    def note(self, kind: AgentEvent.Kind, at: datetime, **data: Json) -> None:
        """Add a line to the agent's timeline."""
        self.events.append(AgentEvent(agent=self.agent, at=at, kind=kind, data=data))

    def change(self, name: str, value: object) -> bool:
        """Set a field of the agent's row if it differs; true when it did."""
        if getattr(self.agent, name) == value:
            return False
        setattr(self.agent, name, value)
        self.dirty.add(name)
        return True

    def change_state(self, name: str, value: object) -> bool:
        """The same for the wide row."""
        if getattr(self.state, name) == value:
            return False
        setattr(self.state, name, value)
        self.dirty_state.add(name)
        return True


def http_expiry(at: datetime) -> datetime:
    """When an HTTP agent that stays silent from ``at`` counts as disconnected: three promised intervals."""
    return at + timedelta(seconds=3 * settings.OPAMP_HEARTBEAT_SECONDS)


def record_reports(arrivals: Sequence[Arrival], *, at: datetime) -> list[Recorded]:
    """Merge reports of *distinct* agents into their rows; must run inside a transaction.

    Agents never seen are registered. Nothing is written yet for the rows that the caller may still change: it ends
    with `save_recorded`. Rows are locked in the order of their keys, so that two batches cannot wait for each other.
    """
    uids = [arrival.report.instance_uid for arrival in arrivals]
    rows = {
        row.instance_uid: row
        for row in Agent.objects.select_for_update(of=("self",))
        .select_related("reported", "presence")
        .filter(instance_uid__in=uids)
        .order_by("id")
    }
    moved = [uid for uid in uids if uid not in rows]
    if moved:
        rows.update(_move_to_new_uid(moved))
    recorded = []
    for arrival in arrivals:
        row = rows.get(arrival.report.instance_uid)
        entry = _known(arrival, row, at) if row is not None else _newcomer(arrival, at)
        _merge(entry, at)
        recorded.append(entry)
    _store_documents(recorded)
    newcomers = [entry for entry in recorded if entry.is_new]
    for entry, key in zip(newcomers, reserve_keys(Agent, len(newcomers)), strict=True):
        entry.agent.pk = entry.state.agent_id = entry.presence.agent_id = key
        for event in entry.events:
            event.agent_id = key
    _keep_history(recorded, at)
    return recorded


def save_recorded(recorded: Sequence[Recorded]) -> None:
    """Write newcomers, changed fields, the hot row, the timeline. Same transaction as `record_reports`.

    Newcomers are inserted here and not before, so that what the caller decides about them costs no second statement;
    foreign keys to them are checked when the transaction commits.
    """
    newcomers = [entry for entry in recorded if entry.is_new]
    known = [entry for entry in recorded if not entry.is_new]
    bulk_insert(entry.agent for entry in newcomers)
    bulk_insert(entry.state for entry in newcomers)
    bulk_insert(entry.presence for entry in newcomers)
    bulk_save((entry.agent, entry.dirty) for entry in known)
    bulk_save((entry.state, entry.dirty_state) for entry in known)
    bulk_update((entry.presence for entry in known), ["last_seen_at", "sequence_num", "expires_at"])
    bulk_insert(event for entry in recorded for event in entry.events)


# --- Rows --------------------------------------------------------------------------------------------------------


def _known(arrival: Arrival, row: Agent, at: datetime) -> Recorded:
    state, presence = row.reported, row.presence
    if arrival.lease.transport is Transport.HTTP:
        first = not (row.connected and row.transport == Transport.HTTP)
    else:
        first = not row.connected or row.lease_id != arrival.lease.id
    requested_at = state.full_state_requested_at
    remembered = arrival.known_sequence_num
    if remembered is None or arrival.known_at is None or arrival.known_at < presence.last_seen_at:
        remembered = presence.sequence_num
    return Recorded(
        arrival=arrival,
        agent=row,
        state=state,
        presence=presence,
        is_new=False,
        previous_sequence_num=remembered,
        first_on_connection=first,
        # On a new connection the answer to an old request can no longer come.
        full_state_outstanding=not first and requested_at is not None and at - requested_at < FULL_STATE_PATIENCE,
    )


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
    )
    entry.note(Kind.REGISTERED, at, transport=arrival.lease.transport.value)
    return entry


def _move_to_new_uid(uids: Sequence[UUID]) -> dict[UUID, Agent]:
    """Agents that now use the uid we assigned to them keep their row and history (S-30)."""
    moved: dict[UUID, Agent] = {}
    waiting = Agent.objects.select_for_update(of=("self",)).select_related("reported", "presence")
    for agent in waiting.filter(next_instance_uid__in=uids).order_by("id"):
        new = agent.next_instance_uid
        if new is None:
            continue
        former, agent.instance_uid, agent.next_instance_uid = agent.instance_uid, new, None
        agent.save(update_fields=["instance_uid", "next_instance_uid"])
        AgentEvent.objects.create(
            agent=agent,
            at=agent.presence.last_seen_at,
            kind=Kind.IDENTITY,
            data={"former": str(former), "new": str(new)},
        )
        moved[new] = agent
    return moved


def _keep_history(recorded: Sequence[Recorded], at: datetime) -> None:
    """Close the connection records of agents that left or came on a new connection; open those of the latter."""
    opened = [entry for entry in recorded if entry.first_on_connection]
    for entries, reason in ((opened, "replaced"), ([entry for entry in recorded if entry.left], "agent disconnected")):
        known = [entry.agent.pk for entry in entries if not entry.is_new]
        if known:
            ConnectionRecord.objects.filter(agent_id__in=known, disconnected_at=None).update(
                disconnected_at=at, reason=reason
            )
    bulk_insert(
        ConnectionRecord(
            agent=entry.agent,
            lease_id=entry.agent.lease_id,
            transport=entry.arrival.lease.transport,
            remote_address=entry.arrival.lease.remote_address,
            connected_at=at,
        )
        for entry in opened
    )


# --- Merging -----------------------------------------------------------------------------------------------------


def _merge(entry: Recorded, at: datetime) -> None:
    """Overwrite capabilities and every *present* part (S-39, S-40), and claim the lease."""
    report, lease = entry.arrival.report, entry.arrival.lease
    entry.presence.last_seen_at = at
    entry.presence.sequence_num = report.sequence_num
    waits = lease.transport is Transport.HTTP and not report.agent_disconnect
    entry.presence.expires_at = http_expiry(at) if waits else None
    if report.agent_disconnect:
        _leave(entry, at)
    elif entry.first_on_connection:
        _claim(entry, lease, at)
    if report.capabilities:  # S-57: 0 means "not repeated"
        _merge_capabilities(entry, report.capabilities, at)
    parts: tuple[tuple[Any, Callable[[Recorded, Any, datetime], None]], ...] = (
        (report.agent_description, _merge_description),
        (report.health, _merge_health),
        (report.effective_config, _merge_effective_config),
        (report.remote_config_status, _merge_remote_config_status),
        (report.available_components, _merge_components),
    )
    for value, merge in parts:
        if value is not None:
            merge(entry, value, at)
    if report.package_statuses is not None:
        entry.change_state("package_statuses", report.package_statuses)
    if report.custom_capabilities is not None:
        entry.change_state("custom_capabilities", list(report.custom_capabilities))
    if report.connection_settings_status is not None:
        status = report.connection_settings_status
        entry.change_state(
            "connection_settings_status",
            {
                "hash": status.last_connection_settings_hash.hex(),
                "status": status.status,
                "error_message": status.error_message,
            },
        )
    if report.agent_description is not None and entry.state.full_state_requested_at is not None:
        entry.change_state("full_state_requested_at", None)


def _claim(entry: Recorded, lease: Lease, at: datetime) -> None:
    entry.change("lease_id", lease.id or f"http-{uuid4().hex}")
    entry.change("lease_process", lease.process if lease.id else "")
    entry.change("transport", lease.transport.value)
    entry.change("remote_address", lease.remote_address)
    entry.change("connected", True)
    entry.change("connected_at", at)
    entry.change("disconnected_at", None)
    entry.note(Kind.CONNECTED, at, transport=lease.transport.value, remote_address=lease.remote_address)


def _leave(entry: Recorded, at: datetime) -> None:
    """The agent said goodbye (S-35). Twice is once, as the Python client does it; a goodbye opens no connection."""
    entry.first_on_connection = False
    owned = entry.arrival.lease.transport is Transport.HTTP or entry.agent.lease_id == entry.arrival.lease.id
    if not entry.agent.connected or not owned:
        return
    entry.change("connected", False)
    entry.change("lease_id", "")
    entry.change("lease_process", "")
    entry.change("disconnected_at", at)
    entry.left = True
    entry.note(Kind.DISCONNECTED, at, reason="agent disconnected")


def _merge_capabilities(entry: Recorded, mask: int, at: datetime) -> None:
    before = entry.agent.capabilities
    if entry.change("capabilities", mask) and not entry.is_new:
        entry.note(
            Kind.CAPABILITIES,
            at,
            added=capability_names(mask & ~before),
            removed=capability_names(before & ~mask),
        )


def _merge_description(entry: Recorded, description: AgentDescription, at: datetime) -> None:
    changed = entry.change_state("identifying_attributes", dict(description.identifying_attributes))
    changed |= entry.change_state("non_identifying_attributes", dict(description.non_identifying_attributes))
    if not changed and not entry.is_new:
        return
    facts = facts_of(description)
    agent = entry.agent
    for name, value in (
        ("service_name", facts.service_name),
        ("service_namespace", facts.service_namespace),
        ("version", facts.service_version),
        ("hostname", facts.hostname),
        ("os_type", facts.os_type),
        ("os_description", facts.os_description),
        ("architecture", facts.architecture),
    ):
        entry.change(name, fitted(Agent, name, value))
    entry.change("name", agent_name(agent))
    if entry.change("labels", labels_of(description, agent.operator_labels)):
        entry.relabelled = True
    if not entry.is_new:
        entry.note(Kind.DESCRIBED, at)


def _merge_health(entry: Recorded, health: ComponentHealth, at: datetime) -> None:
    before = entry.agent.healthy
    entry.change_state("health", dict(health.tree))
    entry.change("health_status", fitted(Agent, "health_status", health.status))
    error_changed = entry.change("last_error", health.last_error)
    if entry.change("healthy", health.healthy) or (error_changed and not health.healthy):
        entry.note(Kind.HEALTH, at, healthy=health.healthy, before=before, error=health.last_error[:2000])
    started_at = from_unix_nano(health.start_time_unix_nano)
    previous = entry.agent.started_at
    if entry.change("started_at", started_at) and previous is not None and started_at is not None:
        entry.restarted = True
        entry.note(Kind.RESTARTED, at, started_at=started_at.isoformat())


def _merge_effective_config(entry: Recorded, config: EffectiveConfig, at: datetime) -> None:
    content: dict[str, Any] = {key: dict(file) for key, file in config.files.items()}
    key = document_hash(ReportedDocument.Kind.EFFECTIVE_CONFIG, content)
    if entry.state.effective_config_id != key:
        entry.state.effective_config = ReportedDocument(
            hash=key, kind=ReportedDocument.Kind.EFFECTIVE_CONFIG, content=content
        )
        entry.dirty_state.add("effective_config")
        entry.note(Kind.EFFECTIVE_CONFIG, at, hash=key[:12])


def _merge_remote_config_status(entry: Recorded, status: RemoteConfigStatus, _at: datetime) -> None:
    entry.change("remote_config_hash", status.last_remote_config_hash.hex()[:128])
    entry.change("remote_config_status", status.status.value)
    entry.change("remote_config_error", status.error_message)


def _merge_components(entry: Recorded, components: AvailableComponents, _at: datetime) -> None:
    """A hash alone must not erase the map already known for it (S-40); an unknown hash makes us ask (S-98)."""
    reported = components.hash.hex()[:128]
    if components.components is not None:
        content = dict(components.components)
        key = document_hash(ReportedDocument.Kind.COMPONENTS, content)
        if entry.state.components_id != key:
            entry.state.components = ReportedDocument(hash=key, kind=ReportedDocument.Kind.COMPONENTS, content=content)
            entry.dirty_state.add("components")
        entry.change_state("components_hash", reported)
        entry.components_known = True
        return
    if entry.state.components_hash == reported and entry.state.components_id is not None:
        entry.components_known = True
        return
    # Another agent may have reported the map of this hash already (S-99).
    twin = (
        ReportedState.objects.filter(components_hash=reported, components__isnull=False)
        .values_list("components_id", flat=True)
        .first()
        if reported
        else None
    )
    entry.change_state("components_hash", reported)
    if twin is not None:
        entry.components_known = True
    if entry.state.components_id != twin:
        entry.state.components_id = twin
        entry.dirty_state.add("components")


# --- Values ------------------------------------------------------------------------------------------------------


def agent_name(agent: Agent) -> str:
    """The operator's name for it, else its service's, else its host's, else its uid."""
    return agent.custom_name or agent.service_name or agent.hostname or str(agent.instance_uid)


def fitted(model: type[models.Model], name: str, text: str) -> str:
    """``text`` cut to what the column holds: an agent's odd value must not cost it its report."""
    limit = getattr(model._meta.get_field(name), "max_length", None)
    return text[:limit] if limit else text


def document_hash(kind: str, content: Mapping[str, Json]) -> str:
    """SHA-256 (hex) of kind and canonical JSON: sorted keys, no spaces."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"{kind}\n{canonical}".encode()).hexdigest()


def _store_documents(recorded: Sequence[Recorded]) -> None:
    """Insert the documents this batch brought and the database lacks, in key order so that batches cannot deadlock."""
    documents: dict[str, ReportedDocument] = {}
    for entry in recorded:
        for name in ("effective_config", "components"):
            document = getattr(entry.state, name) if name in entry.dirty_state else None
            if document is not None:
                documents[document.hash] = document
    if documents:
        ReportedDocument.objects.bulk_create(
            [documents[key] for key in sorted(documents)], ignore_conflicts=True, batch_size=100
        )
