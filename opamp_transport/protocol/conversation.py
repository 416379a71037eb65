"""What the server answers: the specification as decisions, in pure functions, and the only place that decides.

Each rule names its number in the server checklist (S-nn) and, where it has one, the heading of the specification.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from agents.reports import AgentCapabilities, CustomMessage, StatusReport, is_complete
from configurations.remote_config import DesiredConfig
from opamp_transport.protocol.replies import HeartbeatOffer, Reply


@dataclass(frozen=True, slots=True)
class Known:
    """What the server knew of an agent before the report, and what the report's recording told.

    ``sequence_num`` is the last one processed, ``None`` for an agent never seen. ``capabilities`` are those in force
    *after* the report (S-56). ``full_state_outstanding``: asked for on this connection and not come yet (S-44).
    ``components_known``: the map behind the reported components hash is stored (S-98).
    """

    sequence_num: int | None
    capabilities: int
    first_on_connection: bool
    full_state_outstanding: bool
    components_known: bool = True


@dataclass(frozen=True, slots=True)
class Desired:
    """What the portal wants of the agent now. ``custom_message`` is the oldest one waiting (S-95)."""

    config: DesiredConfig | None = None
    restart: bool = False
    custom_message: CustomMessage | None = None
    heartbeat: HeartbeatOffer | None = None
    custom_capabilities: tuple[str, ...] = ()


NOTHING = Desired()


def is_heartbeat(report: StatusReport, *, sequence_num: int, capabilities: int) -> bool:
    """True for a message that changes nothing, so that memory can answer it (S-37).

    It continues the sequence, repeats the capabilities or leaves them out (S-57), and carries no part.
    """
    return (
        report.sequence_num == sequence_num + 1
        and (report.capabilities == capabilities or not report.capabilities)
        and not report.carries_news()
    )


def answer(known: Known, report: StatusReport, desired: Desired, *, repeated: bool = False) -> Reply:
    """The one reply to one report (S-36, "ServerToAgent Message").

    ``repeated``: the same bytes arrived before (S-46); the retry of a lost exchange gets its offer again (S-62).
    """
    reply = Reply(instance_uid=report.instance_uid.bytes)
    if report.agent_disconnect:
        return reply  # the agent is leaving (S-35): nothing more can reach it
    if _restart_due(known.capabilities, desired):
        # S-96: alone. Whatever else is due stays pending and follows.
        return replace(reply, restart=True)
    reply = replace(
        reply,
        report_full_state=full_state_due(known, report),
        report_available_components=_components_due(known, report),
    )
    return _with_offers(
        reply,
        known.capabilities,
        desired,
        status_reported=report.remote_config_status is not None,
        repeated=repeated,
        first_on_connection=known.first_on_connection,
    )


def unsolicited(instance_uid: UUID, capabilities: int, desired: Desired) -> Reply | None:
    """What to push to a connected agent without being asked (S-66), or ``None`` when nothing is due."""
    reply = Reply(instance_uid=instance_uid.bytes)
    if _restart_due(capabilities, desired):
        return replace(reply, restart=True)
    full = _with_offers(reply, capabilities, desired, status_reported=False, repeated=False, first_on_connection=False)
    return None if full == reply else full


def full_state_due(known: Known, report: StatusReport) -> bool:
    """ReportFullState after a gap ("Agent Status Compression", S-42) or from an agent never seen (S-43).

    Not when the message already carries everything (an agent that restarted, S-47), and at most one request at a time
    (S-44): a burst that reuses a number would otherwise draw one per message.
    """
    if known.sequence_num is not None and report.sequence_num == known.sequence_num + 1:
        return False
    if known.full_state_outstanding or is_complete(report, known.capabilities):
        return False
    # A message received twice is no gap: the agent has nothing new to tell (S-46).
    return known.sequence_num is None or report.sequence_num != known.sequence_num or report.carries_news()


def offer_due(capabilities: int, config: DesiredConfig, *, status_reported: bool, repeated: bool) -> bool:
    """Whether to send ``remote_config`` now ("Configuration", S-58 … S-65).

    Never without AcceptsRemoteConfig (S-58), never a hash the agent has answered, whatever the answer (S-61), never the
    same hash again on one connection (S-50, S-62) unless the exchange itself is repeated, or answers keep naming
    another hash and the pause is over (S-60, S-63).
    """
    if not capabilities & AgentCapabilities.ACCEPTS_REMOTE_CONFIG:
        return False
    if config.forced:
        return True
    if config.reported_hash == config.config_hash:
        return False
    if not config.offered or repeated:
        return True
    return status_reported and config.retry_due


def _restart_due(capabilities: int, desired: Desired) -> bool:
    return desired.restart and bool(capabilities & AgentCapabilities.ACCEPTS_RESTART_COMMAND)


def _components_due(known: Known, report: StatusReport) -> bool:
    """ReportAvailableComponents for a hash whose map nobody has told us yet (S-98)."""
    return (
        bool(known.capabilities & AgentCapabilities.REPORTS_AVAILABLE_COMPONENTS)
        and report.available_components is not None
        and report.available_components.components is None
        and not known.components_known
    )


def _with_offers(
    reply: Reply,
    capabilities: int,
    desired: Desired,
    *,
    status_reported: bool,
    repeated: bool,
    first_on_connection: bool,
) -> Reply:
    """``reply`` with at most one offer of each kind (S-108), each only to an agent that accepts it (S-55)."""
    config = desired.config
    if config is not None and offer_due(capabilities, config, status_reported=status_reported, repeated=repeated):
        reply = replace(reply, remote_config=config.config, config_hash=config.config_hash)
    if desired.heartbeat is not None and _takes_heartbeat_offer(capabilities):
        reply = replace(reply, heartbeat_offer=desired.heartbeat)
    if first_on_connection and desired.custom_capabilities:
        reply = replace(reply, custom_capabilities=desired.custom_capabilities)
    if desired.custom_message is not None:
        reply = replace(reply, custom_message=desired.custom_message)
    return reply


def _takes_heartbeat_offer(capabilities: int) -> bool:
    """Both bits: the member must be accepted (S-76), and the interval honoured (S-73)."""
    needed = AgentCapabilities.REPORTS_HEARTBEAT | AgentCapabilities.ACCEPTS_OPAMP_CONNECTION_SETTINGS
    return capabilities & needed == needed
