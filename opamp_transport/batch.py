"""One batch in one transaction: reports recorded, offers asked, answers decided, everything written (group commit).

Runs in a database thread. Rows come from `agents.services`, what is offered from the registry, decisions from `protocol`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from agents.credentials import Denial
from agents.excess import Excess
from agents.models import Agent, Approval
from agents.replies import ErrorResponse, ErrorType, Reply
from agents.reply_parts import Part
from agents.reports import CustomMessage, RemoteConfigStatuses
from agents.services import credentials, identity, ways_in
from agents.services.arrivals import DEFAULT_INTERVAL, Arrival, Lease
from agents.services.batch import Batch, BatchAgent, ReportingAgent
from agents.services.duplicate_uids import both_speak, known_duplicate
from agents.services.leases import disconnect
from agents.services.offers import LockMissed
from agents.services.quotas import Quotas
from agents.services.recording import full_state_due_at, note_requests, record_reports, save_reports
from agents.services.timeline import write_lines
from foundation import wakeups
from opamp_transport import metrics
from opamp_transport.admission import retry_after_seconds
from opamp_transport.protocol.conversation import answer, unsolicited


@dataclass(frozen=True, slots=True)
class Processed:
    """What became of one agent's report or wake-up.

    ``reply`` is ``None`` when a wake-up found nothing due, ``agent_id`` 0 when the agent is gone or was not recorded.
    ``more_due``: look at the rows with its next message, because something had to wait (S-96, S-95) or another agent speaks
    under its uid. ``owned``: the agent belongs to the connection of the report; ``reassigned``: this connection got another
    uid (S-31). ``look_again_after``: so long until something unanswered is due once more, for agents that poll.
    ``custom_message`` waits for its receiver. ``denial``: the connection may not speak for the agent; ``reply`` says why,
    and nothing was recorded (S-117).
    """

    agent_id: int
    capabilities: int = 0
    reply: Reply | None = None
    more_due: bool = False
    owned: bool = True
    reassigned: bool = False
    poll_interval: timedelta = DEFAULT_INTERVAL
    look_again_after: timedelta | None = None
    custom_message: CustomMessage | None = None
    denial: Denial | Excess | None = None


def process_reports(arrivals: Sequence[Arrival], *, at: datetime, quotas: Quotas | None = None) -> list[Processed]:
    """Record reports of distinct agents and decide their replies, in the same order; all or nothing."""
    try:
        return _process(Batch(at, arrivals), quotas)
    except LockMissed:
        return _process(Batch(at, arrivals, locks_everything=True), quotas)


@transaction.atomic(durable=True)
def _process(batch: Batch[ReportingAgent], quotas: Quotas | None) -> list[Processed]:
    try:
        batch.lock_targets()
        processed = _answer_requests_for_uids(batch)
        known = [arrival for arrival in batch.arrivals if not arrival.report.requests_instance_uid]
        if known:
            for denied in record_reports(batch, known, quotas=quotas):
                uid = denied.arrival.report.instance_uid
                processed[uid] = _rejected(uid, denied.denial)
            for offer in batch.offers:
                offer.note_reports()
            for member in batch.agents:
                processed[member.arrival.report.instance_uid] = _answer(batch, member)
            save_reports(batch)
            _wake_concerned(batch)
    finally:
        batch.forget()
    return [processed[arrival.report.instance_uid] for arrival in batch.arrivals]


def _answer_requests_for_uids(batch: Batch[ReportingAgent]) -> dict[UUID, Processed]:
    """The uid to take, under the temporary one (S-28, S-30); nothing is recorded of those who ask."""
    asking = [arrival for arrival in batch.arrivals if arrival.report.requests_instance_uid]
    if not asking:
        return {}
    denied = credentials.denials(asking)
    admitted = [uid for arrival in asking if (uid := arrival.report.instance_uid) not in denied]
    beside = [arrival.report.instance_uid for arrival in batch.arrivals if not arrival.report.requests_instance_uid]
    assigned = identity.uids_asked_for(admitted, beside=beside, at=batch.at)
    processed = {
        uid: Processed(0, reply=Reply(instance_uid=uid.bytes, new_instance_uid=new), owned=False)
        for uid, new in assigned.items()
    }
    return processed | {uid: _rejected(uid, denial) for uid, denial in denied.items()}


def _answer(batch: Batch[ReportingAgent], member: ReportingAgent) -> Processed:
    """The reply to a report that is recorded, and what is remembered of it."""
    report = member.arrival.report
    if not member.speaks:
        return _answer_duplicate(member)
    reply = answer(member.known(), report, _wanted(batch, member))
    more_due = _note_sent(batch, member, reply)
    note_requests(member, reply)
    _count(member)
    unheard = member.repeated or member.agent.approval != Approval.APPROVED
    return Processed(
        member.agent.pk,
        member.agent.capabilities,
        reply,
        more_due,
        poll_interval=member.poll_interval,
        look_again_after=_look_again_after(batch, member),
        custom_message=None if unheard else report.custom_message,
    )


def _answer_duplicate(member: ReportingAgent) -> Processed:
    """The bare answer to a connection that a newer one displaced, or the uid that a duplicate shall take (S-31, S-32)."""
    reply = Reply(instance_uid=member.arrival.report.instance_uid.bytes, new_instance_uid=member.reassigned)
    return Processed(
        member.agent.pk,
        member.agent.capabilities,
        reply,
        more_due=True,
        owned=False,
        reassigned=member.reassigned is not None,
    )


@transaction.atomic(durable=True)
def answer_wakeups(woken: Mapping[UUID, Lease], *, at: datetime) -> dict[UUID, Processed]:
    """What to push to connected agents that a wake-up, or a look for missed changes, named.

    ``woken`` names each agent's connection in this process; an agent whose lease moved elsewhere meanwhile gets nothing
    from here.
    """
    processed = {uid: Processed(0) for uid in woken}
    withdrawn = ways_in.withdrawn({lease.token_id for lease in woken.values() if lease.token_id}, at)
    issued = credentials.issued_certificates(lease.certificate for lease in woken.values())
    shut_out: dict[Denial, list[int]] = {}
    batch: Batch[BatchAgent] = Batch(at)
    try:
        here: list[BatchAgent] = []
        for agent in Agent.objects.filter(instance_uid__in=list(woken)).select_related("duplicate_uid").locked():
            uid, lease = agent.instance_uid, woken[agent.instance_uid]
            held = agent.lease_id == lease.id
            denial = (
                credentials.shut_out(agent)
                or withdrawn.get(lease.token_id)
                or credentials.withdrawn_certificate(lease.certificate, issued)
            )
            if denial is not None:
                processed[uid] = _rejected(uid, denial)
                if held:
                    shut_out.setdefault(denial, []).append(agent.pk)
            elif held:
                here.append(BatchAgent(batch, agent, reached_at=woken[uid].reached_at))
            else:
                processed[uid] = Processed(agent.pk, agent.capabilities, more_due=True, owned=False)
        batch.load(here)
        for member in batch.agents:
            agent = member.agent
            reply = unsolicited(agent.instance_uid, member.known(), _wanted(batch, member))
            left = _note_sent(batch, member, reply or Reply(instance_uid=agent.instance_uid.bytes))
            more_due = left or both_speak(known_duplicate(agent))
            processed[agent.instance_uid] = Processed(agent.pk, agent.capabilities, reply, more_due)
        batch.save()
        write_lines(event for member in batch.agents for event in member.events)
        for denial, keys in shut_out.items():
            # The socket may go on for others who share it.
            disconnect(Agent.objects.filter(pk__in=keys), reason=denial.value, at=at)
    finally:
        batch.forget()
    return processed


def _rejected(uid: UUID, denial: Denial | Excess | None) -> Processed:
    """The answer to a speaker who may not speak for this agent (S-117), or who is one agent too many (S-102)."""
    if denial is None:
        raise ValueError("nothing speaks against this agent")
    if isinstance(denial, Excess):
        error = ErrorResponse(ErrorType.UNAVAILABLE, denial.text, float(retry_after_seconds()))
    else:
        error = ErrorResponse(ErrorType.BAD_REQUEST, denial.text)
    return Processed(0, reply=Reply(instance_uid=uid.bytes, error=error), owned=False, denial=denial)


def _wanted(batch: Batch[ReportingAgent] | Batch[BatchAgent], member: BatchAgent) -> list[Part]:
    return [part for offer in batch.offers_to(member) if (part := offer.part(member)) is not None]


def _note_sent(batch: Batch[ReportingAgent] | Batch[BatchAgent], member: BatchAgent, reply: Reply) -> bool:
    """Remember what ``reply`` carries, so that it is sent once; true when something had to stay behind."""
    for offer in batch.offers_to(member):
        offer.note_sent(member, reply)
    return any(offer.is_left(member, reply) for offer in batch.offers_to(member))


def _look_again_after(batch: Batch[ReportingAgent], member: ReportingAgent) -> timedelta | None:
    """When to look at the rows although the agent has nothing new: a reply over HTTP may be lost without a trace."""
    if not member.arrival.over_http:
        return None
    moments = [full_state_due_at(member), *(offer.due_again_at(member) for offer in batch.offers_to(member))]
    return min((max(moment - batch.at, timedelta()) for moment in moments if moment is not None), default=None)


def _wake_concerned(batch: Batch[ReportingAgent]) -> None:
    """Whoever holds the newer connection of a duplicate must hear its agent's next word itself (S-31).

    And where the shared secret has just ended for an agent, another process may still answer from memory.
    """
    wakeups.wake(
        {
            member.agent.instance_uid
            for member in batch.agents
            if (member.displaced and both_speak(known_duplicate(member.agent)))
            or member.agent.credential_used_at == batch.at
        }
    )


def _count(member: ReportingAgent) -> None:
    for part, whose in member.left_out.items():
        metrics.UNSTORED.labels(part, whose).inc()
    status = member.arrival.report.remote_config_status
    if status is not None and status.status is not RemoteConfigStatuses.UNSET:
        metrics.ANSWERS.labels(status.status.name.lower()).inc()
