"""Requests of agents inside a batch: taken, folded, refused, and approved by the policy (S-84 … S-88)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from accounts import services as accounts
from agents.models import AgentEvent
from agents.reports import AgentCapabilities, Json
from agents.services.batch import Batch, BatchAgent, ReportingAgent
from certificates.certificate_lines import KIND
from certificates.models import AgentCertificate
from certificates.portal_options import CertificatePolicy
from certificates.requests import BadRequest, KeyRequest, read_request
from foundation.messages import Message

State = AgentCertificate.State
# An agent that sends nonsense again and again is written down once in this time; one that cannot be signed waits so long.
_PAUSE = timedelta(hours=1)
_MOST_COUNTED = 1_000_000


def add_line(entry: BatchAgent, step: str, **data: Json) -> None:
    """Add a line to the timeline."""
    line = AgentEvent(agent=entry.agent, at=entry.work.at, kind=KIND, data={"step": step, **data})
    entry.events.append(line)


def take_request(
    batch: Batch[Any], entry: ReportingAgent, csr: bytes, row: AgentCertificate | None
) -> tuple[AgentCertificate | None, Message | None]:
    """Work in the request of an agent whose open row is ``row``; its open row then, and why the request is refused."""
    agent = entry.agent
    try:
        _must_take_settings(entry)
        request = read_request(csr, agent.instance_uid)
    except BadRequest as error:
        return row, _refused(entry, error.message)
    if row is not None and row.key_sha256 == request.key_sha256:
        batch.change(row, "requests", min(row.requests + 1, _MOST_COUNTED))
        # Who asks again has not got it.
        batch.change(row, "offered_lease", "")
        return row, None
    if row is not None and row.state in {State.PENDING, State.APPROVED}:
        _begin(batch, row, entry, request)
        return row, None
    if row is not None:
        # At once, and not with the batch, which inserts first: an agent has one open row.
        AgentCertificate.objects.filter(pk=row.pk).update(open=False)
        row.open = False
    mine = AgentCertificate.objects.filter(agent_id=agent.pk, key_sha256=request.key_sha256)
    former = mine.select_for_update(of=("self",)).first()
    if former is not None and former.state == State.DENIED:
        return None, _refused(entry, denied_text(former))
    if former is not None and former.state == State.REVOKED:
        return None, _refused(
            entry, Message("csr-key-revoked", "The certificate of this key was revoked: ask with another key.")
        )
    if former is not None and former.state == State.ISSUED and not _may_renew(former, batch.at):
        for name, value in {"open": True, "offered_lease": "", "offer_count": 0, "changed_at": batch.at}.items():
            batch.change(former, name, value)
        return former, None
    row = AgentCertificate(agent=agent, instance_uid=agent.instance_uid, requested_at=batch.at, changed_at=batch.at)
    _begin(batch, row, entry, request)
    batch.insert(row)
    add_line(entry, "requested", key=request.key_type)
    if row.state == State.APPROVED:
        add_line(entry, "approved", by="")
    return row, None


def denied_text(row: AgentCertificate) -> Message:
    """What the agent of a denied request is told."""
    return Message("csr-denied", "The certificate was denied: {reason}", reason=row.reason or "-")


def failed_text() -> Message:
    """What the agent of a request is told that could not be signed."""
    return Message("csr-not-signed", "The certificate could not be signed; the portal says why.")


def renewal_from(row: AgentCertificate) -> datetime | None:
    """From when on the agent may have another by itself: two thirds of the time."""
    if row.not_before is None or row.not_after is None:
        return None
    return row.not_before + (row.not_after - row.not_before) * 2 / 3


def _may_renew(row: AgentCertificate, at: datetime) -> bool:
    moment = renewal_from(row)
    return moment is None or at >= moment


def _begin(batch: Batch[Any], row: AgentCertificate, entry: ReportingAgent, request: KeyRequest) -> None:
    """``row`` is about this request from now on, decided by nobody or by the policy."""
    approved = _policy_approves(entry, batch.at)
    values: dict[str, object] = {
        "state": State.APPROVED if approved else State.PENDING,
        "csr": request.pem,
        "key_sha256": request.key_sha256,
        "key_type": request.key_type,
        "requests": min(row.requests + 1, _MOST_COUNTED) if row.pk else 1,
        "instance_uid": entry.agent.instance_uid,
        "changed_at": batch.at,
        "decided_at": batch.at if approved else None,
        "decided_by": None,
        "decided_by_name": "policy" if approved else "",
        "tries": 0,
    }
    for name, value in values.items():
        setattr(row, name, value)
    if row.pk:
        batch.mark(row, ["decided_by_id" if name == "decided_by" else name for name in values])


def _policy_approves(entry: ReportingAgent, at: datetime) -> bool:
    """Who came in with something of its own needs no person, unless it has a certificate that is good for long."""
    if settings.OPAMP_CERTIFICATES.policy is not CertificatePolicy.AUTO or entry.arrival.credential is None:
        return False
    mine = AgentCertificate.objects.filter(agent_id=entry.agent.pk)
    newest = mine.in_force(at).order_by("-not_after").first()
    if newest is not None and not _may_renew(newest, at):
        return False
    return not mine.filter(state=State.FAILED, changed_at__gt=at - _PAUSE).exists()


def _must_take_settings(entry: ReportingAgent) -> None:
    if not entry.agent.capabilities & AgentCapabilities.ACCEPTS_OPAMP_CONNECTION_SETTINGS:
        raise BadRequest(
            Message(
                "csr-without-capability",
                "A certificate comes with connection settings, and the agent does not accept those "
                "(AcceptsOpAMPConnectionSettings).",
            )
        )


def _refused(entry: ReportingAgent, problem: Message) -> Message:
    """Write it down, unless that was done lately: an agent may go on for ever."""
    agent, at = entry.agent, entry.work.at
    lines = AgentEvent.objects.filter(agent_id=agent.pk, kind=KIND, at__gt=at - _PAUSE, data__step="refused")
    if not lines.exists():
        said = str(problem)
        add_line(entry, "refused", reason=said, code=problem.code)
        accounts.record(
            by=None,
            verb="certificate.refuse",
            target=agent,
            name=agent.name_and_host(),
            data={"instance_uid": str(agent.instance_uid), "reason": said},
        )
    return problem
