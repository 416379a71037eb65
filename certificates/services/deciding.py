"""What people decide: approving and denying requests, revoking certificates. All of it is compare-and-set."""

from __future__ import annotations

import re
from datetime import datetime

from django.db import transaction

from accounts import services as accounts
from accounts.models import User
from agents.models import Agent, AgentEvent, Transport
from agents.services.leases import disconnect
from agents.services.timeline import write_line
from certificates.certificate_lines import KIND
from certificates.errors import BadReason, NoSuchCertificate, NotIssued, NotWaiting
from certificates.models import LONGEST_REASON, AgentCertificate, lock_agent_of
from foundation import wakeups

State = AgentCertificate.State
# Agents are told the reason, and lists have it in a line: no control characters, nor what turns the direction of a line.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def approve_certificate(pk: int, *, key_sha256: str, by: User | None, at: datetime) -> AgentCertificate:
    """Have it signed; ``key_sha256`` is that of the key that was looked at. Raises `NotWaiting`, `NoSuchCertificate`."""
    return _decide(pk, key_sha256, State.APPROVED, by=by, at=at, reason="", step="approved", verb="certificate.approve")


def deny_certificate(pk: int, *, key_sha256: str, reason: str, by: User | None, at: datetime) -> AgentCertificate:
    """Tell the agent no, for this key for ever. Raises `NotWaiting`, `NoSuchCertificate`, `BadReason`."""
    reason = _checked(reason)
    return _decide(pk, key_sha256, State.DENIED, by=by, at=at, reason=reason, step="denied", verb="certificate.deny")


@transaction.atomic
def revoke_certificate(pk: int, *, reason: str, by: User | None, at: datetime) -> AgentCertificate:
    """Refuse it from now on, and close the connection that it opened (S-83). Raises `NotIssued`, `NoSuchCertificate`."""
    reason = _checked(reason)
    lock_agent_of(pk)
    values = {"state": State.REVOKED, "revoked_at": at, "changed_at": at, "open": False, "reason": reason}
    changed = AgentCertificate.objects.filter(pk=pk, state=State.ISSUED).update(**values)
    row = _row(pk)
    if not changed:
        raise NotIssued(pk)
    _tell(row, "revoked", by=by, at=at, verb="certificate.revoke")
    if row.used_at is not None and row.agent_id is not None:
        # One that polls has no connection whose end would say so.
        disconnect(Agent.objects.filter(pk=row.agent_id, transport=Transport.HTTP), reason="certificate revoked", at=at)
    return row


@transaction.atomic
def _decide(
    pk: int, key_sha256: str, state: str, *, by: User | None, at: datetime, reason: str, step: str, verb: str
) -> AgentCertificate:
    lock_agent_of(pk)
    waiting = AgentCertificate.objects.filter(pk=pk, state=State.PENDING, agent__isnull=False)
    values = {
        "state": state,
        "decided_at": at,
        "decided_by": by,
        "decided_by_name": by.get_username() if by else "system",
        "changed_at": at,
        "reason": reason,
    }
    changed = waiting.filter(key_sha256=key_sha256).update(**values)
    row = _row(pk)
    if not changed:
        raise NotWaiting(pk, other_key=waiting.exists())
    _tell(row, step, by=by, at=at, verb=verb)
    return row


def _tell(row: AgentCertificate, step: str, *, by: User | None, at: datetime, verb: str) -> None:
    """Timeline, audit trail, and a wake-up after commit."""
    said = {"step": step, "by": by.get_username() if by else "", "reason": row.reason}
    data = {"instance_uid": str(row.instance_uid), "key_sha256": row.key_sha256}
    data |= {"serial_number": row.serial_number} if row.serial_number else {}
    data |= {"reason": row.reason} if row.reason else {}
    accounts.record(by=by, verb=verb, target=row, name=str(row), data=data)
    if row.agent is not None:
        write_line(AgentEvent(agent=row.agent, at=at, kind=KIND, data=said))
        wakeups.wake([row.agent.instance_uid])


def _row(pk: int) -> AgentCertificate:
    row = AgentCertificate.objects.select_related("agent").filter(pk=pk).first()
    if row is None:
        raise NoSuchCertificate(pk)
    return row


def _checked(reason: str) -> str:
    reason = " ".join(reason.split())
    if not reason or len(reason) > LONGEST_REASON or _CONTROL.search(reason):
        raise BadReason(LONGEST_REASON)
    return reason
