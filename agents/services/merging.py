"""Merges one report into the rows of its agent: capabilities and every *present* part overwrite (S-39, S-40).

Works on rows and component maps that `recording` has loaded, and whose changes it will save; the database is not asked here.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import models

from agents.labels import facts_of
from agents.models import Agent, AgentEvent, Transport
from agents.reports import (
    AgentCapabilities,
    AgentDescription,
    AvailableComponents,
    ComponentHealth,
    ConnectionSettingsStatus,
    CustomMessage,
    EffectiveConfig,
    Json,
    JsonObject,
    RemoteConfigStatus,
    RemoteConfigStatuses,
    answers_full_state,
    capability_names,
    from_unix_nano,
    is_complete,
)
from agents.services import taken_settings
from agents.services.arrivals import Lease, claimed_fields, http_expiry
from agents.services.batch import ReportingAgent
from agents.services.labelling import label

Kind = AgentEvent.Kind
_SHOWN_MESSAGE_BYTES = 2048


def merge_report(entry: ReportingAgent, at: datetime) -> None:
    """Overwrite capabilities and every *present* part (S-39, S-40) that is not left out, and claim the lease."""
    report, lease = entry.arrival.report, entry.arrival.lease
    entry.presence.last_seen_at = at
    if not _hides_a_gap(entry):
        entry.presence.sequence_num = report.sequence_num
    entry.presence.message_digest = entry.arrival.digest
    if report.agent_disconnect:
        _leave(entry, at)
    elif entry.first_on_connection:
        _claim(entry, lease, at)
    if report.capabilities:  # S-57: 0 means "not repeated"
        _merge_capabilities(entry, report.capabilities, at)
    if report.connection_settings_status is not None:
        _merge_settings_status(entry, report.connection_settings_status)
    taken_settings.note_taken(entry, at)
    # A client created anew counts from the start and tells everything (S-47); one that took settings is no restart.
    previous = entry.previous_sequence_num
    anew = previous is not None and report.sequence_num < previous and is_complete(report, entry.agent.capabilities)
    if anew and entry.state.settings_taken_at != at:
        entry.restarted = True
    for part, merge in _PARTS:
        value = getattr(report, part)
        if value is not None and part not in entry.left_out:
            merge(entry, value, at)
    if answers_full_state(report, _tellable(entry)):
        entry.change_state("full_state_requested_at", None)
        entry.full_state_lost = entry.full_state_outstanding = False
    waits = entry.arrival.over_http and not report.agent_disconnect
    if waits:
        entry.poll_interval = taken_settings.promised_interval(entry.state)
    entry.presence.expires_at = http_expiry(at, entry.poll_interval) if waits else None


def _hides_a_gap(entry: ReportingAgent) -> bool:
    """True for a goodbye after lost messages. It cannot be answered with ReportFullState, so its number must not close
    the gap: the agent's next message shows it again (S-42)."""
    report, previous = entry.arrival.report, entry.previous_sequence_num
    return report.agent_disconnect and previous is not None and report.sequence_num not in {previous, previous + 1}


def _tellable(entry: ReportingAgent) -> int:
    """The capabilities whose parts a full state of this agent can hold.

    One that never told how a configuration went has no status to tell, and its full state comes without (S-44).
    """
    mask, agent = entry.agent.capabilities, entry.agent
    if not agent.remote_config_hash and agent.remote_config_status == RemoteConfigStatuses.UNSET:
        mask &= ~AgentCapabilities.REPORTS_REMOTE_CONFIG
    return mask


def _merge_package_statuses(entry: ReportingAgent, statuses: JsonObject, _at: datetime) -> None:
    entry.change_state("package_statuses", statuses)


def _merge_custom_capabilities(entry: ReportingAgent, names: tuple[str, ...], _at: datetime) -> None:
    entry.change_state("custom_capabilities", list(names))


def _merge_settings_status(entry: ReportingAgent, status: ConnectionSettingsStatus) -> None:
    entry.change_state(
        "connection_settings_status",
        {
            "hash": status.last_connection_settings_hash.hex(),
            "status": status.status,
            "error_message": status.error_message,
        },
    )


def _note_custom_message(entry: ReportingAgent, message: CustomMessage, at: datetime) -> None:
    """A line in the timeline, with as much of the data as an operator reads there; a retry adds none (S-46)."""
    if entry.repeated:
        return
    shown = message.data[:_SHOWN_MESSAGE_BYTES]
    data: dict[str, Json] = {
        "capability": message.capability[:255],
        "type": message.type[:255],
        "size": len(message.data),
        "data_base64": base64.b64encode(shown).decode(),
    }
    entry.tell(Kind.CUSTOM_MESSAGE, **data)


def _claim(entry: ReportingAgent, lease: Lease, at: datetime) -> None:
    for name, value in claimed_fields(lease, at).items():
        entry.change(name, value)
    entry.tell(Kind.CONNECTED, transport=lease.transport.value, remote_address=lease.remote_address)


def _leave(entry: ReportingAgent, at: datetime) -> None:
    """The agent said goodbye (S-35). Twice is once, as the Python client does it; a goodbye opens no connection."""
    entry.first_on_connection = False
    owned = entry.arrival.lease.transport is Transport.HTTP or entry.agent.lease_id == entry.arrival.lease.id
    if not owned:
        return
    entry.change("lease_id", "")
    if not entry.agent.connected:
        return
    entry.change("connected", False)
    entry.change("lease_process", "")
    entry.change("disconnected_at", at)
    entry.left = True
    entry.tell(Kind.DISCONNECTED, reason="agent disconnected")


def _merge_capabilities(entry: ReportingAgent, mask: int, at: datetime) -> None:
    before = entry.agent.capabilities
    entry.gained_capabilities = mask & ~before
    if entry.change("capabilities", mask) and not entry.is_new:
        entry.tell(
            Kind.CAPABILITIES,
            added=capability_names(mask & ~before),
            removed=capability_names(before & ~mask),
        )


def _merge_description(entry: ReportingAgent, description: AgentDescription, at: datetime) -> None:
    changed = entry.change_state("identifying_attributes", dict(description.identifying_attributes))
    changed |= entry.change_state("non_identifying_attributes", dict(description.non_identifying_attributes))
    if changed or entry.first_on_connection:
        # With each connection, as well: a process with another setting of trusted keys may have computed them last.
        fields = label(entry.agent, description)
        entry.work.mark(entry.agent, fields)
        entry.relabelled |= "labels" in fields
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
    if not entry.is_new:
        entry.tell(Kind.DESCRIBED)


def _merge_health(entry: ReportingAgent, health: ComponentHealth, at: datetime) -> None:
    before = entry.agent.healthy
    unknown = taken_settings.health_is_unknown(entry, health, at)
    healthy = None if unknown else health.healthy
    entry.change_state("health", dict(health.tree))
    entry.change("health_status", fitted(Agent, "health_status", health.status))
    error_changed = entry.change("last_error", health.last_error)
    if entry.change("healthy", healthy) or (error_changed and not health.healthy):
        entry.tell(Kind.HEALTH, healthy=healthy, before=before, error=health.last_error[:2000])
    if unknown:
        return
    started_at = from_unix_nano(health.start_time_unix_nano)
    previous = entry.agent.started_at
    if entry.change("started_at", started_at) and previous is not None and started_at is not None:
        entry.restarted = True
        entry.tell(Kind.RESTARTED, started_at=started_at.isoformat())


def _merge_effective_config(entry: ReportingAgent, _config: EffectiveConfig, at: datetime) -> None:
    document = entry.documents["effective_config"]
    if entry.state.effective_config_id != document.hash:
        entry.state.effective_config = document
        entry.work.mark(entry.state, ("effective_config",))
        entry.tell(Kind.EFFECTIVE_CONFIG, hash=document.hash[:12])


def _merge_remote_config_status(entry: ReportingAgent, status: RemoteConfigStatus, _at: datetime) -> None:
    entry.change("remote_config_hash", status.last_remote_config_hash.hex()[:128])
    entry.change("remote_config_status", status.status.value)
    entry.change("remote_config_error", status.error_message)


def _merge_components(entry: ReportingAgent, components: AvailableComponents, _at: datetime) -> None:
    """A hash alone must not erase the map already known for it (S-40); an unknown hash makes us ask (S-98)."""
    reported = components.hash.hex()[:128]
    if components.components is not None:
        document = entry.documents["available_components"]
        if entry.state.components_id != document.hash:
            entry.state.components = document
            entry.work.mark(entry.state, ("components",))
        entry.change_state("components_hash", reported)
        entry.components_known = True
        return
    if entry.state.components_hash == reported and entry.state.components_id is not None:
        entry.components_known = True
        return
    # Another agent may have reported the map of this hash already (S-99).
    twin = entry.known_maps.get(reported)
    entry.change_state("components_hash", reported)
    if twin is not None:
        entry.components_known = True
    if entry.state.components_id != twin:
        entry.state.components_id = twin
        entry.work.mark(entry.state, ("components",))


# --- Values --------------------------------------------------------------------------------------------------------


def agent_name(agent: Agent) -> str:
    """The operator's name for it, else its service's, else its host's, else its uid."""
    return agent.custom_name or agent.service_name or agent.hostname or str(agent.instance_uid)


def fitted(model: type[models.Model], name: str, text: str) -> str:
    """``text`` cut to what the column holds: an agent's odd value must not cost it its report."""
    limit = getattr(model._meta.get_field(name), "max_length", None)
    return text[:limit] if limit else text


# In this order: what a later one decides may rest on an earlier one.
_PARTS: tuple[tuple[str, Callable[[ReportingAgent, Any, datetime], None]], ...] = (
    ("agent_description", _merge_description),
    ("health", _merge_health),
    ("effective_config", _merge_effective_config),
    ("remote_config_status", _merge_remote_config_status),
    ("package_statuses", _merge_package_statuses),
    ("available_components", _merge_components),
    ("custom_capabilities", _merge_custom_capabilities),
    ("custom_message", _note_custom_message),
)
