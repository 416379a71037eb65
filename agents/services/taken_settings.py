"""Which connection settings an agent has taken, as far as the server can see it, and what follows from that.

Agents with ReportsConnectionSettingsStatus say so (S-81). Others build a new client from an offer and keep silent: soon after
an offer they begin anew, their sequence numbers from the start. Such a client keeps what it took in memory, so one that
begins anew at any other time counts as back at its own settings.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings

from agents.models import ReportedState
from agents.reports import APPLIED_SETTINGS, AgentCapabilities, ComponentHealth
from agents.services.arrivals import DEFAULT_HEARTBEAT_SECONDS
from agents.services.batch import ReportingAgent
from foundation.clock import is_ahead

# An agent that takes an offer does so at once; what begins anew later does so for a reason of its own.
_TAKING = timedelta(minutes=5)
# The reply to a poll may be lost, so a retry of the poll gets the offer again; one that is retried ever again comes from
# clients that were built from the offer, one after the other.
GIVEN_TO_RETRIES = 2


def note_taken(entry: ReportingAgent, at: datetime) -> None:
    """Note whether the agent took the settings offered last; to be called once its capabilities and status are merged."""
    state = entry.state
    outstanding = state.settings_taken_at is None
    if says_it_took(state):
        took = outstanding or state.settings_accepted_seconds != state.settings_offered_seconds
    else:
        # Whoever shows the credential that the offer brought took the rest of it too.
        took = outstanding and (
            entry.agent.credential_used_at == at or (_keeps_silent(entry) and _is_rebuilt(entry, at))
        )
    if took:
        entry.change_state("settings_accepted_seconds", state.settings_offered_seconds)
        entry.change_state("settings_taken_at", at)
    elif _keeps_silent(entry) and _begins_anew(entry):
        entry.change_state("settings_accepted_seconds", None)


def note_offered(entry: ReportingAgent, settings_hash: str, interval_seconds: int, at: datetime) -> None:
    """These settings leave with this reply; whether the agent takes them is open."""
    again = entry.state.settings_offered_hash == settings_hash
    entry.change_state("settings_offer_count", min(entry.state.settings_offer_count + 1 if again else 1, 1_000))
    entry.change_state("settings_offered_hash", settings_hash)
    entry.change_state("settings_offered_lease", entry.agent.lease_id)
    entry.change_state("settings_offered_at", at)
    entry.change_state("settings_offered_seconds", interval_seconds)
    entry.change_state("settings_taken_at", None)


def says_it_took(state: ReportedState) -> bool:
    """True when the agent says that it uses the settings offered last."""
    return _names_the_offer(state) and (state.connection_settings_status or {}).get("status") == APPLIED_SETTINGS


def lost_what_it_took(entry: ReportingAgent, at: datetime) -> bool:
    """True for a silent client that begins anew, and not because of an offer: it is back at its own settings."""
    return _keeps_silent(entry) and _begins_anew(entry) and entry.state.settings_taken_at != at


def interval_in_use(state: ReportedState) -> int | None:
    """The heartbeat interval of the agent (seconds): the one it took last, else the specification's.

    ``None`` when that cannot be known: it was offered another one and has not said what it did, or it says that it uses
    settings unknown here, of another server for instance.
    """
    status = state.connection_settings_status or {}
    elsewhere = bool(status.get("hash")) and not _names_the_offer(state) and status.get("status") == APPLIED_SETTINGS
    if elsewhere and state.settings_accepted_seconds is None:
        return None
    first, *others = _possible_intervals(state)
    return None if others else first


def promised_interval(state: ReportedState) -> timedelta:
    """How often an agent polls: as it says that it took it; else whichever is longest of what it may be doing.

    That is its own pace, 30 s in all clients, what it seems to have taken, and what it was offered or would be.
    """
    wanted = int(settings.OPAMP_HEARTBEAT_SECONDS)
    took = says_it_took(state)
    accepted = state.settings_accepted_seconds
    if took and accepted is not None:
        return timedelta(seconds=accepted if accepted == wanted else max(accepted, wanted))
    return timedelta(seconds=max(wanted, DEFAULT_HEARTBEAT_SECONDS, *_possible_intervals(state)))


def health_is_unknown(entry: ReportingAgent, health: ComponentHealth, at: datetime) -> bool:
    """True for a bare ``healthy: false`` of a client built anew from the settings it took.

    A supervisor introduces itself so whatever its Collector does, and says more when that changes its health, not before. So
    the same words told again mean no more. Told later on by a client that has said more, they are about its Collector.
    """
    state = entry.state
    if health.healthy or not health.is_bare:
        return False
    if state.settings_taken_at == at or _is_rebuilt(entry, at):
        return True
    introduces_itself = entry.first_on_connection or _begins_anew(entry)
    if introduces_itself and _lately(state.settings_taken_at, at):
        return True
    return entry.agent.healthy is None and state.health is not None and not state.health.get("healthy")


def _keeps_silent(entry: ReportingAgent) -> bool:
    """True for an agent that will not say what became of an offer."""
    return not entry.agent.capabilities & AgentCapabilities.REPORTS_CONNECTION_SETTINGS_STATUS


def _is_rebuilt(entry: ReportingAgent, at: datetime) -> bool:
    """True for a new client of an agent that was offered settings a moment ago, and has not said that it could not take them."""
    state = entry.state
    waits = state.settings_taken_at is None and _lately(state.settings_offered_at, at) and not _names_the_offer(state)
    given_often = entry.arrival.over_http and entry.repeated and state.settings_offer_count >= GIVEN_TO_RETRIES
    return waits and (given_often or _begins_anew(entry))


def _begins_anew(entry: ReportingAgent) -> bool:
    """True when a client that began to count again speaks: it introduces itself, and its number is no later one.

    Over HTTP the same bytes once more are a retry.
    """
    report, previous = entry.arrival.report, entry.previous_sequence_num
    if report.agent_description is None or previous is None or report.sequence_num > previous:
        return False
    return entry.first_on_connection or (entry.arrival.over_http and not entry.repeated)


def _possible_intervals(state: ReportedState) -> set[int]:
    """What the agent may be using: what it took last, or what it was offered since and has not answered (seconds)."""
    possible = {state.settings_accepted_seconds or DEFAULT_HEARTBEAT_SECONDS}
    offered = state.settings_offered_seconds
    if offered is not None and state.settings_taken_at is None and not _names_the_offer(state):
        possible.add(offered)
    return possible


def _names_the_offer(state: ReportedState) -> bool:
    """True when the agent has answered the settings offered last, whatever the answer (S-81)."""
    named = (state.connection_settings_status or {}).get("hash")
    return bool(named) and named == state.settings_offered_hash


def _lately(stamp: datetime | None, at: datetime) -> bool:
    return stamp is not None and at - stamp < _TAKING and not is_ahead(stamp, at)
