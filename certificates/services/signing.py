"""Signing what was approved: the leading process does it, beside everything else, since others may take their time."""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from agents.models import AgentEvent
from agents.services.timeline import write_line
from certificates.certificate_lines import KIND
from certificates.identity import digest_of
from certificates.issuing import CannotSign
from certificates.models import LONGEST_REASON, AgentCertificate, lock_agent_of
from certificates.requests import KeyRequest
from certificates.services.signers import signed
from foundation import wakeups
from foundation.clock import clock

logger = logging.getLogger(__name__)

State = AgentCertificate.State
# How often the leading process looks, and how often a signer is asked for one certificate.
SECONDS = 1.0
_MOST_TRIES = 5
_AT_ONCE = 50
_busy = threading.Lock()


def look(at: datetime) -> None:
    """The chore: begin to sign where something waits. A key in a file is quick; others have a thread, and one at a time."""
    if not settings.OPAMP_CERTIFICATES.offered or not _waiting(at):
        return
    if settings.OPAMP_CERTIFICATES.ca_key:
        sign_waiting(at)
    elif _busy.acquire(blocking=False):
        threading.Thread(target=_sign_beside, name="signing", daemon=True).start()


def sign_waiting(at: datetime) -> int:
    """Sign what waits, some of it; returns how many certificates were made."""
    return sum(_sign(row, at) for row in _waiting(at))


def _sign_beside() -> None:
    try:
        sign_waiting(clock.now())
    except DatabaseError as error:
        logger.warning("certificates could not be signed yet", extra={"error": str(error)[:200]})
    finally:
        connection.close()
        _busy.release()


def _waiting(at: datetime) -> list[AgentCertificate]:
    rows = (
        AgentCertificate.objects.filter(open=True, state=State.APPROVED).select_related("agent").order_by("changed_at")
    )
    return [
        row for row in rows[:_AT_ONCE] if not row.tries or row.changed_at + timedelta(seconds=5 * 2**row.tries) <= at
    ]


def _sign(row: AgentCertificate, at: datetime) -> bool:
    """Sign one; what the row says meanwhile of another key or a decision stays."""
    try:
        made = signed(KeyRequest(row.csr, row.key_sha256, row.key_type), row.instance_uid, at)
    except CannotSign as error:
        logger.warning(
            "a certificate cannot be signed", extra={"instance_uid": str(row.instance_uid), "error": str(error)}
        )
        _note_failure(row, str(error), at)
        return False
    return _note_issued(row, made, at)


@transaction.atomic
def _note_issued(row: AgentCertificate, made: x509.Certificate, at: datetime) -> bool:
    values = {
        "state": State.ISSUED,
        "certificate": made.public_bytes(serialization.Encoding.PEM).decode("ascii"),
        "digest": digest_of(made),
        "serial_number": f"{made.serial_number:x}",
        "not_before": made.not_valid_before_utc,
        "not_after": made.not_valid_after_utc,
        "changed_at": at,
        "reason": "",
    }
    if not _as_it_was(row, **values):
        return False
    if row.agent is not None:
        said = {"step": "issued", "not_after": made.not_valid_after_utc.isoformat(), "serial": values["serial_number"]}
        write_line(AgentEvent(agent=row.agent, at=at, kind=KIND, data=said))
        wakeups.wake([row.agent.instance_uid])
    return True


@transaction.atomic
def _note_failure(row: AgentCertificate, said: str, at: datetime) -> None:
    tries = row.tries + 1
    state = State.FAILED if tries >= _MOST_TRIES else State.APPROVED
    changed = _as_it_was(row, state=state, tries=tries, changed_at=at, reason=said[:LONGEST_REASON])
    if changed and state == State.FAILED and row.agent is not None:
        line = {"step": "failed", "reason": said[:LONGEST_REASON]}
        write_line(AgentEvent(agent=row.agent, at=at, kind=KIND, data=line))
        wakeups.wake([row.agent.instance_uid])


def _as_it_was(row: AgentCertificate, **values: object) -> int:
    lock_agent_of(row.pk)
    same = {"pk": row.pk, "state": State.APPROVED, "key_sha256": row.key_sha256, "changed_at": row.changed_at}
    return AgentCertificate.objects.filter(**same).update(**values)
