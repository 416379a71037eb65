"""Each agent's own credential (S-115): who may speak for an agent, what it is offered, revoking and enrolling again.

What a credential is, `agents.credentials` says; the entry points check that it is a true one, and it travels to the agent with
the settings of `agents.opamp.connection_settings`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import transaction

from accounts import services as accounts
from accounts.models import User
from agents.credentials import (
    AgentCredential,
    ClientCertificate,
    Denial,
    EnrolmentPass,
    IssuedCertificate,
    Pass,
    new_number,
)
from agents.models import Agent, AgentEvent, Approval, Transport
from agents.reports import AgentCapabilities
from agents.services.arrivals import Arrival
from agents.services.batch import ReportingAgent
from agents.services.leases import disconnect
from agents.services.offers import MOST_PENDING
from agents.services.timeline import write_lines
from foundation import wakeups

Kind = AgentEvent.Kind


# --- Inside a batch of reports -------------------------------------------------------------------------------------


IssuedCertificates = Mapping[str, IssuedCertificate]
"""What is known of certificates that were issued here, by their digests."""

_look_up: Callable[[Collection[str]], IssuedCertificates] | None = None


def register_issued_certificates(look_up: Callable[[Collection[str]], IssuedCertificates]) -> None:
    """Have ``look_up`` say, in one query, what is known of the certificates with these digests."""
    global _look_up  # noqa: PLW0603  set once, when Django is ready
    _look_up = look_up


def issued_certificates(shown: Iterable[Pass | None]) -> IssuedCertificates:
    """What is known of the certificates among what was shown; most agents show none, and then nothing is asked."""
    digests = {one.digest for one in shown if isinstance(one, ClientCertificate)}
    return _look_up(digests) if digests and _look_up is not None else {}


def _certificate_denial(
    row: Agent | None, shown: ClientCertificate, instance_uid: UUID, issued: IssuedCertificate | None
) -> Denial | None:
    """One issued here speaks for the agent that asked for it, under whichever uid (S-87); others for the uid they name."""
    if issued is not None and not issued.in_force:
        return Denial.CERTIFICATE_REVOKED
    if issued is None or row is None or issued.agent_id != row.pk:
        if shown.instance_uid != instance_uid:
            return Denial.FOREIGN_CERTIFICATE
        if issued is not None:
            return Denial.CERTIFICATE_REVOKED
    return None if row is None else shut_out(row)


def denial_of(row: Agent | None, arrival: Arrival, issued: IssuedCertificates | None = None) -> Denial | None:
    """Why ``arrival`` may not speak for the agent of ``row`` (``None``: for a new one); ``None`` when it may (S-117).

    ``issued`` is what `issued_certificates` knows of what was shown.
    """
    return denial_for(row, arrival.report.instance_uid, arrival.credential, issued)


def denial_for(
    row: Agent | None, instance_uid: UUID, shown: Pass | None, issued: IssuedCertificates | None = None
) -> Denial | None:
    """Why who has ``shown`` this, or the shared secret, may not speak for ``instance_uid``, whose ``row`` this is.

    A credential never makes a new agent: it is that of one agent, and goes with it when the agent is forgotten. A certificate
    of an authority that people named may. Of an enrolment token the way it came by judges the rest
    (`agents.services.ways_in`).
    """
    if isinstance(shown, EnrolmentPass):
        return None if row is None else shut_out(row)
    if isinstance(shown, ClientCertificate):
        return _certificate_denial(row, shown, instance_uid, (issued or {}).get(shown.digest))
    in_force = set() if row is None else {row.credential_number, row.credential_former_number}
    if shown is not None and shown.number not in in_force:
        own = shown.instance_uid == instance_uid
        return Denial.OUTDATED if own else Denial.FOREIGN
    if row is None:
        return None
    if (denial := shut_out(row)) is not None:
        return denial
    if shown is None and row.credential_used_at is not None and settings.OPAMP_AGENT_CREDENTIALS:
        return Denial.SHARED
    return None


def shut_out(row: Agent) -> Denial | None:
    """Why the agent may not speak, whatever it shows; ``None`` when it may."""
    if row.approval == Approval.REJECTED:
        return Denial.REJECTED
    return Denial.REVOKED if row.credential_revoked_at is not None else None


def withdrawn_certificate(shown: ClientCertificate | None, issued: IssuedCertificates) -> Denial | None:
    """Why a connection that ``shown`` opened may not go on (S-83); ``None`` when it may."""
    known = issued.get(shown.digest) if shown is not None else None
    return Denial.CERTIFICATE_REVOKED if known is not None and not known.in_force else None


def denials(arrivals: Sequence[Arrival]) -> dict[UUID, Denial]:
    """`denial_of` for those of ``arrivals`` that are rejected, of agents whose rows are not at hand, by uid."""
    rows = Agent.objects.in_bulk([arrival.report.instance_uid for arrival in arrivals], field_name="instance_uid")
    issued = issued_certificates(arrival.credential for arrival in arrivals)
    judged = {
        arrival.report.instance_uid: denial_of(rows.get(arrival.report.instance_uid), arrival, issued)
        for arrival in arrivals
    }
    return {uid: denial for uid, denial in judged.items() if denial is not None}


def note_use(entry: ReportingAgent, at: datetime) -> None:
    """With its first use a credential takes effect: the shared secret and the credential before it end (S-82)."""
    row, shown = entry.agent, _own(entry)
    if shown is None or shown.number != row.credential_number:
        return
    if row.credential_used_at is None or row.credential_former_number is not None:
        entry.change("credential_used_at", at)
        entry.change("credential_former_number", None)
        entry.tell(Kind.CREDENTIAL, step="used")


def credential_to_offer(entry: ReportingAgent) -> AgentCredential | None:
    """The credential to send to the speaker, if now is the time, instead of what let it in; ``None`` for one that has it.

    A new one each time: whoever has the shared secret may have been given one under this uid before, and must not hold what
    the agent then uses. Only the retry of a poll, whose answer was lost, gets the same again (S-46).
    """
    row, shown = entry.agent, _own(entry)
    if not _takes_one(row) or entry.arrival.report.agent_disconnect:
        return None
    if shown is not None and shown.number == row.credential_number:
        return None
    if entry.repeated and entry.arrival.over_http and row.credential_number is not None:
        return AgentCredential(row.instance_uid, row.credential_number)
    return AgentCredential(row.instance_uid, new_number())


def credential_sent_last(entry: ReportingAgent) -> AgentCredential | None:
    """The one that was sent to the agent last, or is in use; ``None`` before the first."""
    number = entry.agent.credential_number
    return None if number is None else AgentCredential(entry.agent.instance_uid, number)


def has_lost_its_own(entry: ReportingAgent) -> bool:
    """True for one that used its credential and comes by an enrolment token again: supervisors keep what they took in memory."""
    row = entry.agent
    return _own(entry) is None and row.credential_used_at is not None and row.credential_former_number is None


def enrolment_due(agent: Agent) -> bool:
    """True when the agent's next message should reach its row, where a credential is made for it."""
    return _takes_one(agent) and agent.credential_number is None


def _takes_one(agent: Agent) -> bool:
    accepts = agent.capabilities & AgentCapabilities.ACCEPTS_OPAMP_CONNECTION_SETTINGS
    return bool(settings.OPAMP_AGENT_CREDENTIALS and accepts)


def _own(entry: ReportingAgent) -> AgentCredential | None:
    shown = entry.arrival.credential
    return shown if isinstance(shown, AgentCredential) else None


def note_offer(entry: ReportingAgent, credential: AgentCredential, at: datetime) -> None:
    """``credential`` leaves with this reply; of those that were never used it is the only one from now on.

    One that is in use goes on until this one is: its agent came back with an enrolment token, or somebody else did (S-82).
    """
    row = entry.agent
    if row.credential_used_at is not None and row.credential_former_number is None:
        entry.change("credential_former_number", row.credential_number)
    if entry.change("credential_number", credential.number):
        entry.change("credential_issued_at", at)
        entry.tell(Kind.CREDENTIAL, step="issued")


# --- What people decide ----------------------------------------------------------------------------------------------


@transaction.atomic
def revoke_credentials(agent_ids: Sequence[int], *, by: User | None, at: datetime) -> int:
    """Shut agents out, whatever they show, until their enrolment is allowed; returns how many were not shut out before.

    Live connections are closed by whichever process holds them (S-83). Also for agents without a credential of their own.
    """
    rows = list(Agent.objects.filter(pk__in=agent_ids, credential_revoked_at=None).locked())
    keys = [row.pk for row in rows]
    Agent.objects.filter(pk__in=keys).update(credential_revoked_at=at)
    _tell(rows, "revoked", verb="agent.revoke_credential", by=by, at=at)
    # One that polls has no connection whose end would say so.
    disconnect(Agent.objects.filter(pk__in=keys, transport=Transport.HTTP), reason="credential revoked", at=at)
    return len(rows)


@transaction.atomic
def allow_enrolment(agent_ids: Sequence[int], *, by: User | None, at: datetime) -> int:
    """Let agents in with the shared secret once more, to be given new credentials; returns for how many that is a change.

    A revoked credential stays refused. One that was not revoked goes on until its successor is used (S-82). Also for an
    agent that was given one and never used it: it may have lost it, after it said that it had taken it.
    """
    chosen = Agent.objects.filter(pk__in=agent_ids).locked()
    rows = [row for row in chosen if row.credential_revoked_at is not None or row.credential_issued_at is not None]
    for row in rows:
        if row.credential_revoked_at is not None:
            row.credential_former_number = None
        elif row.credential_used_at is not None:
            row.credential_former_number = row.credential_number
        row.credential_number = row.credential_issued_at = row.credential_used_at = row.credential_revoked_at = None
    names = ["number", "former_number", "issued_at", "used_at", "revoked_at"]
    Agent.objects.bulk_update(rows, [f"credential_{name}" for name in names], batch_size=200)
    _tell(rows, "allowed", verb="agent.allow_enrolment", by=by, at=at)
    return len(rows)


def _tell(rows: Sequence[Agent], step: str, *, verb: str, by: User | None, at: datetime) -> None:
    """Timeline, audit trail, and a wake-up after commit."""
    said = {"step": step, "by": by.get_username() if by else ""}
    write_lines(AgentEvent(agent=row, at=at, kind=Kind.CREDENTIAL, data=said) for row in rows)
    named = [(row, row.name_and_host(), {"instance_uid": str(row.instance_uid)}) for row in rows]
    accounts.record_all(named, by=by, verb=verb)
    wakeups.wake([row.instance_uid for row in rows])


def shut_out_uids(limit: int = MOST_PENDING) -> list[UUID]:
    """Agents that are connected although they were shut out: what a process looks at in case the wake-up was lost."""
    # Two questions: each has an index of its own.
    revoked = Agent.objects.filter(credential_revoked_at__isnull=False, connected=True)
    rejected = Agent.objects.filter(approval=Approval.REJECTED, connected=True)
    found = [uid for rows in (revoked, rejected) for uid in rows.values_list("instance_uid", flat=True)[:limit]]
    return found[:limit]
