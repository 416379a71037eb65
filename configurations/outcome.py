"""How far an agent has got with what it should run: one rule, from what is desired, offered and reported. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from agents.reports import AgentCapabilities, RemoteConfigStatuses


class AssignmentStatus(enum.StrEnum):
    """How far the desired revision has got."""

    NONE = "none"
    PENDING = "pending"
    OFFERED = "offered"
    APPLYING = "applying"
    APPLIED = "applied"
    FAILED = "failed"
    INCAPABLE = "incapable"


@dataclass(frozen=True, slots=True)
class Outcome:
    """``in_sync`` is ``None`` where nothing is desired or nothing can be known; ``failed`` only for the desired hash."""

    status: AssignmentStatus
    in_sync: bool | None
    failed: bool = False


def outcome_of(
    *, desired_hash: str, offered_hash: str, reported_hash: str, reported_status: int, capabilities: int
) -> Outcome:
    """Hashes are hex, ``""`` for none. A status is booked against the hash it names (S-64).

    FAILED without a hash (some Java agents) is booked against the hash that was offered (S-63). Without
    ReportsRemoteConfig an offer counts as delivered, not as applied, so ``in_sync`` stays unknown (S-65).
    """
    if not desired_hash:
        return Outcome(AssignmentStatus.NONE, None)
    if not capabilities & AgentCapabilities.ACCEPTS_REMOTE_CONFIG:
        return Outcome(AssignmentStatus.INCAPABLE, None)
    nameless_failure = (
        reported_status == RemoteConfigStatuses.FAILED and not reported_hash and offered_hash == desired_hash
    )
    if nameless_failure or (reported_hash == desired_hash and reported_status == RemoteConfigStatuses.FAILED):
        return Outcome(AssignmentStatus.FAILED, False, failed=True)
    if reported_hash == desired_hash and reported_status == RemoteConfigStatuses.APPLIED:
        return Outcome(AssignmentStatus.APPLIED, True)
    if reported_hash == desired_hash and reported_status == RemoteConfigStatuses.APPLYING:
        return Outcome(AssignmentStatus.APPLYING, False)
    unknowable = not capabilities & AgentCapabilities.REPORTS_REMOTE_CONFIG
    if offered_hash == desired_hash or reported_hash == desired_hash:
        return Outcome(AssignmentStatus.OFFERED, None if unknowable else False)
    return Outcome(AssignmentStatus.PENDING, False)
