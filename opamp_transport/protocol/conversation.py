"""What the server answers: the specification as decisions, in pure functions, and the only place that puts a reply together.

Each rule names its number in `docs/conformance.md` (S-nn) and, where it has one, the heading of the specification. What is
due of each kind of offer is decided by its part (`agents.reply_parts`, `configurations.desired_config`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID

from agents.replies import Reply
from agents.reply_parts import Known, Part
from agents.reports import AgentCapabilities, Heartbeat, StatusReport, is_complete


def continues(heartbeat: Heartbeat, *, sequence_num: int, capabilities: int) -> bool:
    """True for a heartbeat that changes nothing, so that memory can answer it (S-37).

    It continues the sequence, and repeats the capabilities or leaves them out (S-57).
    """
    return heartbeat.sequence_num == sequence_num + 1 and (
        heartbeat.capabilities == capabilities or not heartbeat.capabilities
    )


def answer(known: Known, report: StatusReport, wanted: Iterable[Part]) -> Reply:
    """The one reply to one report (S-36, "ServerToAgent Message")."""
    reply = Reply(instance_uid=report.instance_uid.bytes)
    if report.agent_disconnect:
        return reply  # the agent is leaving (S-35): nothing more can reach it
    asking = replace(
        reply,
        report_full_state=full_state_due(known, report),
        report_available_components=_components_due(known, report),
    )
    return _with_parts(reply, asking, known, report, wanted)


def unsolicited(instance_uid: UUID, known: Known, wanted: Iterable[Part]) -> Reply | None:
    """What to push to a connected agent without being asked (S-66), or ``None`` when nothing is due."""
    reply = Reply(instance_uid=instance_uid.bytes)
    full = _with_parts(reply, reply, known, None, wanted)
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


def _components_due(known: Known, report: StatusReport) -> bool:
    """ReportAvailableComponents for a hash whose map nobody has told us yet (S-98)."""
    return (
        bool(known.capabilities & AgentCapabilities.REPORTS_AVAILABLE_COMPONENTS)
        and report.available_components is not None
        and report.available_components.components is None
        and (not known.components_asked or known.retried)
    )


def _with_parts(bare: Reply, reply: Reply, known: Known, report: StatusReport | None, wanted: Iterable[Part]) -> Reply:
    """``reply`` with what is due, at most one offer of each kind (S-108), each only to an agent that accepts it (S-55)."""
    for part in wanted:
        reply = part.add_to(reply, known, report)
        if reply.error is not None:
            # S-38: alone, likewise.
            return replace(bare, error=reply.error)
        if reply.restart:
            # S-96: alone. Whatever else is due stays pending and follows.
            return replace(bare, restart=True)
    return reply
