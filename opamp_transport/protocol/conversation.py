"""What the server answers: the specification as decisions, in pure functions, and the only place that decides.

Each rule names its number in the server checklist (S-nn) and, where it has one, the heading of the specification.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from agents.credentials import AgentCredential
from agents.reports import AgentCapabilities, CustomMessage, Heartbeat, StatusReport, is_complete
from configurations.remote_config import DesiredConfig
from opamp_transport.protocol.replies import HeartbeatOffer, Reply


@dataclass(frozen=True, slots=True)
class Known:
    """What the server knew of an agent before the report, and what the report's recording told.

    ``sequence_num`` is the last one processed, ``None`` for an agent never seen. ``capabilities`` are those in force
    *after* the report (S-56). ``full_state_outstanding``: asked for and still expected; ``full_state_lost``: asked for,
    and request or answer got lost (S-44). ``over_http``: an earlier reply may have been lost. ``repeated``: the same bytes
    arrived before (S-46). ``components_asked``: the map behind the reported components hash is stored, or was asked for and
    may still come (S-98).
    """

    sequence_num: int | None
    capabilities: int
    full_state_outstanding: bool = False
    full_state_lost: bool = False
    over_http: bool = False
    repeated: bool = False
    components_asked: bool = True

    @property
    def retried(self) -> bool:
        """The reply to these very bytes was lost, so it is given again (S-62); a socket loses none without closing."""
        return self.repeated and self.over_http


@dataclass(frozen=True, slots=True)
class DesiredSettings:
    """Connection settings to offer, beside what decides whether to say so now.

    ``answered``: the agent named their hash. ``offered``: they were sent on the present connection; ``offered_lately``: on
    whichever, not long ago; ``given_often``: so often that a lost reply explains it no more. ``credential`` is one of the
    agent's own that ``offer`` brings, new with each offer: then all four are about the one that was sent last.
    ``interval_in_use`` is the agent's (seconds), ``None`` for unknown; the endpoint of an offer is the one it uses anyway.
    """

    offer: HeartbeatOffer
    answered: bool
    offered: bool
    offered_lately: bool
    given_often: bool = False
    interval_in_use: int | None = None
    credential: AgentCredential | None = None


@dataclass(frozen=True, slots=True)
class Desired:
    """What the portal wants of the agent now. ``custom_message`` is the oldest one waiting (S-95).

    ``new_instance_uid`` is assigned and not used yet; ``uid_told``: on this connection. ``custom_capabilities`` are the
    server's when the agent was not told this list yet, else ``None`` (S-93).
    """

    config: DesiredConfig | None = None
    restart: bool = False
    custom_message: CustomMessage | None = None
    settings: DesiredSettings | None = None
    new_instance_uid: UUID | None = None
    uid_told: bool = False
    custom_capabilities: tuple[str, ...] | None = None


NOTHING = Desired()


def continues(heartbeat: Heartbeat, *, sequence_num: int, capabilities: int) -> bool:
    """True for a heartbeat that changes nothing, so that memory can answer it (S-37).

    It continues the sequence, and repeats the capabilities or leaves them out (S-57).
    """
    return heartbeat.sequence_num == sequence_num + 1 and (
        heartbeat.capabilities == capabilities or not heartbeat.capabilities
    )


def answer(known: Known, report: StatusReport, desired: Desired) -> Reply:
    """The one reply to one report (S-36, "ServerToAgent Message")."""
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
    if desired.settings is not None and settings_due(known, report, desired.settings):
        reply = replace(reply, heartbeat_offer=desired.settings.offer)
    return _with_offers(reply, known, desired, status_reported=report.remote_config_status is not None)


def unsolicited(instance_uid: UUID, capabilities: int, desired: Desired) -> Reply | None:
    """What to push to a connected agent without being asked (S-66), or ``None`` when nothing is due."""
    reply = Reply(instance_uid=instance_uid.bytes)
    if _restart_due(capabilities, desired):
        return replace(reply, restart=True)
    full = _with_offers(reply, Known(None, capabilities), desired, status_reported=False)
    return None if full == reply else full


def full_state_due(known: Known, report: StatusReport) -> bool:
    """ReportFullState after a gap ("Agent Status Compression", S-42) or from an agent never seen (S-43).

    Not when the message already carries everything (an agent that restarted, S-47), and at most one request at a time
    (S-44): a burst that reuses a number would otherwise draw one per message.
    """
    if known.full_state_outstanding or is_complete(report, known.capabilities):
        return False
    if known.full_state_lost or known.sequence_num is None:
        return True
    # A message received twice is no gap: the agent has nothing new to tell (S-46).
    repeated = report.sequence_num == known.sequence_num and (known.repeated or not report.carries_news())
    return report.sequence_num != known.sequence_num + 1 and not repeated


def offer_due(known: Known, config: DesiredConfig, *, status_reported: bool) -> bool:
    """Whether to send ``remote_config`` now ("Configuration", S-58 … S-65).

    Never without AcceptsRemoteConfig (S-58), never a hash the agent has answered, whatever the answer and whatever it said
    of other hashes since (S-61), never the same hash again on one connection (S-50, S-62) unless the exchange itself is
    repeated, or the pause is over and either an answer named another hash (S-60, S-63), or a reply over HTTP was never
    answered and may be lost. A failure without a hash is an answer to what was offered, on whichever connection.
    """
    if not known.capabilities & AgentCapabilities.ACCEPTS_REMOTE_CONFIG:
        return False
    if config.forced:
        return True
    if config.answered:
        return False
    if not config.refused and (known.retried or not config.offered):
        return True
    unanswered = known.over_http and bool(known.capabilities & AgentCapabilities.REPORTS_REMOTE_CONFIG)
    return config.retry_due and (status_reported or unanswered)


def settings_due(known: Known, report: StatusReport, settings: DesiredSettings) -> bool:
    """Whether to send ``connection_settings`` now ("Connection Settings Management", S-76, S-78, S-81).

    Never what the agent has already, for taking an offer costs it its client, and never a hash it has answered. Once on a
    connection to an agent that says it runs others. To one that says nothing, not again for a while, on whichever
    connection: taking an offer may mean a new connection, and then every connection would bring an offer and every offer a
    connection.
    """
    if not _takes_settings(known.capabilities, settings) or settings.answered or not _brings_news(settings):
        return False
    if (known.retried and not settings.given_often) or not settings.offered_lately:
        return True
    return report.connection_settings_status is not None and not settings.offered


def _restart_due(capabilities: int, desired: Desired) -> bool:
    return desired.restart and bool(capabilities & AgentCapabilities.ACCEPTS_RESTART_COMMAND)


def _components_due(known: Known, report: StatusReport) -> bool:
    """ReportAvailableComponents for a hash whose map nobody has told us yet (S-98)."""
    return (
        bool(known.capabilities & AgentCapabilities.REPORTS_AVAILABLE_COMPONENTS)
        and report.available_components is not None
        and report.available_components.components is None
        and (not known.components_asked or known.retried)
    )


def _with_offers(reply: Reply, known: Known, desired: Desired, *, status_reported: bool) -> Reply:
    """``reply`` with at most one offer of each kind (S-108), each only to an agent that accepts it (S-55)."""
    config = desired.config
    if config is not None and offer_due(known, config, status_reported=status_reported):
        reply = replace(reply, remote_config=config.config, config_hash=config.config_hash)
    if desired.new_instance_uid is not None and (known.retried or not desired.uid_told):
        reply = replace(reply, new_instance_uid=desired.new_instance_uid)
    return replace(reply, custom_capabilities=desired.custom_capabilities, custom_message=desired.custom_message)


def _brings_news(settings: DesiredSettings) -> bool:
    return settings.credential is not None or settings.offer.interval_seconds != settings.interval_in_use


def _takes_settings(capabilities: int, settings: DesiredSettings) -> bool:
    """The member must be accepted (S-76); of a heartbeat interval alone one that sends no heartbeats has no use (S-73)."""
    needed = AgentCapabilities.ACCEPTS_OPAMP_CONNECTION_SETTINGS
    if settings.credential is None:
        needed |= AgentCapabilities.REPORTS_HEARTBEAT
    return capabilities & needed == needed
