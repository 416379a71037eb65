"""How far an agent has got with what it should run: one rule, from what is desired, offered, reported and failed. Pure."""

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
    *,
    desired_hash: str,
    offered_hash: str,
    reported_hash: str,
    reported_status: int,
    capabilities: int,
    failed: bool = False,
) -> Outcome:
    """Hashes are hex, ``""`` for none. A status is booked against the hash it names (S-64).

    ``failed``: a failure is booked against the desired hash. It outlasts what the agent says of other hashes; what it says
    itself is an answer only while it is booked, for a person may have asked anew since. Without ReportsRemoteConfig an
    offer counts as delivered, not as applied, so ``in_sync`` stays unknown (S-65).
    """
    if not desired_hash:
        return Outcome(AssignmentStatus.NONE, None)
    if not capabilities & AgentCapabilities.ACCEPTS_REMOTE_CONFIG:
        return Outcome(AssignmentStatus.INCAPABLE, None)
    named = reported_status if reported_hash == desired_hash else None
    if named == RemoteConfigStatuses.APPLIED:
        return Outcome(AssignmentStatus.APPLIED, True)
    if named == RemoteConfigStatuses.APPLYING:
        return Outcome(AssignmentStatus.APPLYING, False)
    if failed:
        return Outcome(AssignmentStatus.FAILED, False, failed=True)
    unknowable = not capabilities & AgentCapabilities.REPORTS_REMOTE_CONFIG
    if offered_hash == desired_hash or named == RemoteConfigStatuses.UNSET:
        return Outcome(AssignmentStatus.OFFERED, None if unknowable else False)
    return Outcome(AssignmentStatus.PENDING, False)
