"""One batch in one transaction: reports recorded, agents matched, answers decided, everything written (group commit).

Runs in a database thread. Rows come from `agents.services` and `configurations.services`, decisions from `protocol`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from agents import extensions
from agents.credentials import AgentCredential, Denial, text_of
from agents.excess import Excess
from agents.models import Agent, AgentCommand, AgentEvent
from agents.reports import CustomMessage, RemoteConfigStatuses
from agents.services import commands, components, credentials, identity, taken_settings
from agents.services.arrivals import DEFAULT_INTERVAL, Arrival, Lease, Recorded
from agents.services.leases import disconnect
from agents.services.quotas import Quotas
from agents.services.recording import FULL_STATE_PATIENCE, record_reports, save_recorded
from agents.services.timeline import write_lines
from configurations.services import offers
from configurations.services.targeting import Placement, hold_targeting
from foundation import wakeups
from opamp_transport import metrics
from opamp_transport.admission import retry_after_seconds
from opamp_transport.connection_settings import with_credential
from opamp_transport.protocol.conversation import Desired, DesiredSettings, Known, answer, unsolicited
from opamp_transport.protocol.replies import ErrorResponse, ErrorType, HeartbeatOffer, Reply

Kind = AgentCommand.Kind
# An agent that does not say whether it took the settings gets them at most this often (S-81).
SETTINGS_PAUSE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the answer depends on and only the door knows: the settings to offer, the capabilities of ours told already."""

    heartbeat: HeartbeatOffer | None = None
    told_capabilities: tuple[str, ...] = ()


_PLAIN = Circumstances()


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one agent's report or ring.

    ``reply`` is ``None`` when a wake-up found nothing due, ``agent_id`` 0 when the agent is gone or was not recorded.
    ``more_due``: look at the rows with its next message, because something had to wait (S-96, S-95) or a rival spoke.
    ``owned``: the agent belongs to the connection of the report; ``reassigned``: this connection got another uid (S-31).
    ``look_again_after``: so long until something unanswered is due once more, for agents that poll. ``custom_message`` waits
    for its receiver. ``denial``: the connection may not speak for the agent; ``reply`` says why, and nothing was recorded (S-117).
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


def settle_reports(
    arrivals: Sequence[Arrival],
    *,
    at: datetime,
    circumstances: Mapping[UUID, Circumstances] | None = None,
    quotas: Quotas | None = None,
) -> list[Settled]:
    """Record reports of distinct agents and decide their replies, in the same order; all or nothing."""
    try:
        return _settle_batch(arrivals, at, circumstances or {}, quotas, hold=offers.may_match(arrivals))
    except offers.TargetingNotHeld:
        return _settle_batch(arrivals, at, circumstances or {}, quotas, hold=True)


@transaction.atomic(durable=True)
def _settle_batch(
    arrivals: Sequence[Arrival],
    at: datetime,
    circumstances: Mapping[UUID, Circumstances],
    quotas: Quotas | None,
    *,
    hold: bool,
) -> list[Settled]:
    if hold:
        hold_targeting(exclusive=False)
    asking = [arrival for arrival in arrivals if arrival.report.requests_instance_uid]
    known = [arrival for arrival in arrivals if not arrival.report.requests_instance_uid]
    settled = _settle_asking(asking, known, at) if asking else {}
    if known:
        settled |= _settle_known(known, at, circumstances, quotas, targeting_held=hold)
    return [settled[arrival.report.instance_uid] for arrival in arrivals]


def _settle_asking(arrivals: Sequence[Arrival], others: Sequence[Arrival], at: datetime) -> dict[UUID, Settled]:
    denied = credentials.denials(arrivals)
    admitted = [uid for arrival in arrivals if (uid := arrival.report.instance_uid) not in denied]
    beside = [arrival.report.instance_uid for arrival in others]
    assigned = identity.uids_asked_for(admitted, beside=beside, at=at)
    settled = {uid: _with_new_uid(uid, new) for uid, new in assigned.items()}
    return settled | {uid: _turned_away(uid, denial) for uid, denial in denied.items()}


def _turned_away(uid: UUID, denial: Denial | Excess) -> Settled:
    """The answer to a speaker who may not speak for this agent (S-117), or who is one agent too many (S-102)."""
    if isinstance(denial, Excess):
        error = ErrorResponse(ErrorType.UNAVAILABLE, denial.sentence, float(retry_after_seconds()))
    else:
        error = ErrorResponse(ErrorType.BAD_REQUEST, denial.sentence)
    return Settled(0, reply=Reply(instance_uid=uid.bytes, error=error), owned=False, denial=denial)


def _with_new_uid(uid: UUID, new: UUID) -> Settled:
    """The answer to RequestInstanceUid: the uid to take, under the temporary one (S-28, S-30); nothing is recorded."""
    return Settled(0, reply=Reply(instance_uid=uid.bytes, new_instance_uid=new), owned=False)


def _settle_known(
    arrivals: Sequence[Arrival],
    at: datetime,
    circumstances: Mapping[UUID, Circumstances],
    quotas: Quotas | None,
    *,
    targeting_held: bool,
) -> dict[UUID, Settled]:
    everyone = record_reports(arrivals, at=at, quotas=quotas)
    settled = {
        (uid := entry.arrival.report.instance_uid): _turned_away(uid, entry.denial)
        for entry in everyone
        if entry.denial
    }
    recorded = [entry for entry in everyone if entry.denial is None]
    placements = offers.settle_reports(recorded, targeting_held=targeting_held, at=at)
    restarted = [entry.agent.pk for entry in recorded if entry.restarted]
    if restarted:
        commands.observe_restarts(restarted, at=at)
    leases = {entry.agent.pk: entry.agent.lease_id for entry in recorded}
    waiting = commands.pending_commands(list(leases))
    configs = offers.desired_configs(placements, lease_ids=leases, at=at)
    for entry, placement in zip(recorded, placements, strict=True):
        key, report = entry.agent.pk, entry.arrival.report
        if entry.displaced or entry.reassigned:
            settled[report.instance_uid] = _for_rival(entry)
            continue
        queue = _sendable(waiting.get(key, []), entry.state.custom_capabilities, at)
        there = circumstances.get(report.instance_uid, _PLAIN)
        desired = Desired(
            config=configs.get(key),
            restart=_restart_in(queue),
            custom_message=_message_in(queue),
            settings=_desired_settings(entry, there.heartbeat, at),
            new_instance_uid=entry.agent.next_instance_uid,
            uid_told=entry.agent.next_uid_lease == entry.agent.lease_id,
            custom_capabilities=_untold(there.told_capabilities),
        )
        reply = answer(_known(entry, at), report, desired)
        more_due = _note_sent(reply, placement, queue, entry.events, at=at)
        _note_asked(entry, reply, desired.settings, at)
        settled[report.instance_uid] = Settled(
            key,
            entry.agent.capabilities,
            reply,
            more_due,
            poll_interval=entry.poll_interval,
            look_again_after=_look_again_after(entry, placement, at),
            custom_message=None if entry.repeated else report.custom_message,
        )
        _count(entry)
    save_recorded(recorded)
    offers.save_settled(placements)
    # Whoever holds the newer connection of these must hear its agent's next word itself (S-31).
    rivals = {entry.agent.instance_uid for entry in recorded if entry.displaced and entry.agent.rival_lease}
    # The shared secret has just ended for these, also where another process answers from memory.
    enrolled = {entry.agent.instance_uid for entry in recorded if entry.agent.credential_used_at == at}
    wakeups.wake(rivals | enrolled)
    for entry in everyone:
        entry.let_go()
    return settled


@transaction.atomic(durable=True)
def answer_wakeups(woken: Mapping[UUID, Lease], *, at: datetime) -> dict[UUID, Settled]:
    """What to push to connected agents that a wake-up, or a look for missed changes, named.

    ``woken`` names each agent's connection in this process; an agent whose lease moved elsewhere meanwhile gets nothing
    from here.
    """
    agents = list(Agent.objects.filter(instance_uid__in=list(woken)).locked())
    placements = offers.load_placements(agents, at=at)
    leases = {agent.pk: agent.lease_id for agent in agents}
    waiting = commands.pending_commands(list(leases))
    listed = commands.listed_capabilities([key for key, queue in waiting.items() if _message_in(queue)])
    configs = offers.desired_configs(placements, lease_ids=leases, at=at)
    settled = {uid: Settled(0) for uid in woken}
    events: list[AgentEvent] = []
    shut_out: list[int] = []
    for agent, placement in zip(agents, placements, strict=True):
        if agent.credential_revoked_at is not None:
            settled[agent.instance_uid] = _turned_away(agent.instance_uid, Denial.REVOKED)
            if agent.lease_id == woken[agent.instance_uid].id:
                shut_out.append(agent.pk)
            continue
        if agent.lease_id != woken[agent.instance_uid].id:
            settled[agent.instance_uid] = Settled(agent.pk, agent.capabilities, more_due=True, owned=False)
            continue
        queue = waiting.get(agent.pk, [])
        if agent.pk in listed:
            queue = _sendable(queue, listed[agent.pk], at)
        desired = Desired(
            config=configs.get(agent.pk),
            restart=_restart_in(queue),
            custom_message=_message_in(queue),
            new_instance_uid=agent.next_instance_uid,
            uid_told=agent.next_uid_lease == agent.lease_id,
        )
        reply = unsolicited(agent.instance_uid, agent.capabilities, desired)
        more_due = False
        if reply is not None:
            more_due = _note_sent(reply, placement, queue, events, at=at)
        more_due = more_due or bool(agent.rival_lease) or credentials.enrolment_due(agent)
        settled[agent.instance_uid] = Settled(agent.pk, agent.capabilities, reply, more_due)
    offers.save_settled(placements, agents_too=True)
    write_lines(events)
    if shut_out:
        # The socket may go on for others who share it.
        disconnect(Agent.objects.filter(pk__in=shut_out), reason="credential revoked", at=at)
    return settled


def _known(entry: Recorded, at: datetime) -> Known:
    return Known(
        sequence_num=entry.previous_sequence_num,
        capabilities=entry.agent.capabilities,
        full_state_outstanding=entry.full_state_outstanding,
        full_state_lost=entry.full_state_lost,
        over_http=entry.arrival.over_http,
        repeated=entry.repeated,
        components_asked=entry.components_known or components.asked_lately(entry, at),
    )


def _for_rival(entry: Recorded) -> Settled:
    """The bare answer to a connection that a newer one displaced, or the uid that a duplicate shall take (S-31, S-32)."""
    reply = Reply(instance_uid=entry.arrival.report.instance_uid.bytes, new_instance_uid=entry.reassigned)
    return Settled(
        entry.agent.pk,
        entry.agent.capabilities,
        reply,
        more_due=True,
        owned=False,
        reassigned=entry.reassigned is not None,
    )


def _desired_settings(entry: Recorded, base: HeartbeatOffer | None, at: datetime) -> DesiredSettings | None:
    """``base`` repeats what let the speaker in. Whether its like was sent or answered is asked of the credential sent last."""
    if base is None:
        return None
    offer = known = base
    credential = credentials.credential_to_offer(entry)
    if credential is not None:
        offer = _bringing(credential, base)
        known = _bringing(credentials.credential_sent_last(entry) or credential, base)
    state = entry.state
    same = state.settings_offered_hash == known.settings_hash.hex()
    offered_at = state.settings_offered_at
    return DesiredSettings(
        offer=offer,
        credential=credential,
        interval_in_use=taken_settings.interval_in_use(state),
        answered=(state.connection_settings_status or {}).get("hash", "") == known.settings_hash.hex(),
        offered=same and state.settings_offered_lease == entry.agent.lease_id,
        offered_lately=same and offered_at is not None and abs(at - offered_at) < SETTINGS_PAUSE,
        given_often=same and state.settings_offer_count >= taken_settings.GIVEN_TO_RETRIES,
    )


def _bringing(credential: AgentCredential, base: HeartbeatOffer) -> HeartbeatOffer:
    return with_credential(base, text_of(credential, key=settings.SECRET_KEY), key=settings.SECRET_KEY)


def _untold(told: tuple[str, ...]) -> tuple[str, ...] | None:
    current = extensions.custom_capabilities()
    return None if told == current else current


def _restart_in(queue: Sequence[AgentCommand]) -> bool:
    return any(command.kind == Kind.RESTART for command in queue)


def _message_in(queue: Sequence[AgentCommand]) -> CustomMessage | None:
    """The oldest message; further ones follow in order (S-95)."""
    command = next((command for command in queue if command.kind == Kind.CUSTOM_MESSAGE), None)
    return commands.custom_message_of(command) if command else None


def _sendable(queue: Sequence[AgentCommand], listed: Sequence[str], at: datetime) -> list[AgentCommand]:
    """``queue`` without messages of capabilities that the agent lists no more; those are cancelled (S-94)."""
    fit = []
    for command in queue:
        if command.kind == Kind.CUSTOM_MESSAGE and command.payload["capability"] not in listed:
            commands.cancel(command, at=at)
        else:
            fit.append(command)
    return fit


def _note_sent(
    reply: Reply, placement: Placement, queue: Sequence[AgentCommand], events: list[AgentEvent], *, at: datetime
) -> bool:
    """Remember what ``reply`` carries, so that it is sent once; true when something had to stay behind."""
    lease_id = placement.agent.lease_id
    if reply.remote_config is not None:
        metrics.OFFERS.labels("again" if placement.assignment.offer_count else "first").inc()
        events.append(offers.note_offer(placement, lease_id=lease_id, at=at))
    if reply.new_instance_uid is not None:
        placement.agent.next_uid_lease = lease_id
        placement.dirty_agent.add("next_uid_lease")
    sent = 0
    for kind, travels in ((Kind.RESTART, reply.restart), (Kind.CUSTOM_MESSAGE, reply.custom_message is not None)):
        command = next((command for command in queue if command.kind == kind), None) if travels else None
        if command is not None:
            commands.take(command, at=at)
            sent += 1
    left = len(queue) - sent
    return bool(left) or reply.restart


def _note_asked(entry: Recorded, reply: Reply, desired: DesiredSettings | None, at: datetime) -> None:
    if reply.report_full_state:
        entry.change_state("full_state_requested_at", at)
        entry.note(AgentEvent.Kind.FULL_STATE, at, sequence_num=str(entry.arrival.report.sequence_num))
    if reply.report_available_components:
        components.note_asked(entry, at)
    if reply.heartbeat_offer is not None:
        offer = reply.heartbeat_offer
        taken_settings.note_offered(entry, offer.settings_hash.hex(), offer.interval_seconds, at)
        if desired is not None and desired.credential is not None:
            credentials.note_offer(entry, desired.credential, at)


def _look_again_after(entry: Recorded, placement: Placement, at: datetime) -> timedelta | None:
    """When to look at the rows although the agent has nothing new: a reply over HTTP may be lost without a trace."""
    if not entry.arrival.over_http:
        return None
    requested_at = entry.state.full_state_requested_at
    moments = [
        requested_at + FULL_STATE_PATIENCE if requested_at is not None else None,
        offers.unanswered_until(placement),
    ]
    return min((max(moment - at, timedelta()) for moment in moments if moment is not None), default=None)


def _count(entry: Recorded) -> None:
    for part, whose in entry.left_out.items():
        metrics.UNSTORED.labels(part, whose).inc()
    status = entry.arrival.report.remote_config_status
    if status is not None and status.status is not RemoteConfigStatuses.UNSET:
        metrics.ANSWERS.labels(status.status.name.lower()).inc()
