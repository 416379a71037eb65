"""Freezes of the fleet or of a selector, and pauses of single agents: who is held, starting, ending, and waking who waited.

Every kind of offer asks `Freezes.holding`. What is held back, and what becomes of it, is the offer's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import F, Q, QuerySet

from accounts import services as accounts
from accounts.models import User
from agents.label_conditions import selector_condition
from agents.models import Agent, AgentEvent, AgentQuerySet, Approval
from agents.services import offers
from agents.services.bulk_requests import BulkOutcome
from agents.services.timeline import write_lines
from foundation import wakeups
from foundation.events import publish
from foundation.messages import Message
from rollouts.audiences import EVERYONE, Audience, Everyone, Instances, Matching, stored
from rollouts.errors import FreezeRefused, NotFrozen
from rollouts.events import FreezeEvent
from rollouts.models import Freeze, FreezeGeneration, Rollout
from rollouts.reasons import checked_expiry, checked_reason

# Of the fleet and of selectors; pauses are bounded by the number of agents.
MOST_ACTIVE = 200
_CHUNK = 2_000
# What the timeline calls the beginning and the end of a pause.
PAUSED, RESUMED = "paused", "resumed"
# So many expired ones are ended in one transaction.
_BATCH = 500
# How often the leading process looks for freezes and pauses whose time is over.
END_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ActiveFreeze:
    """A freeze in force; ``agent_id`` is the key of the one agent that is paused."""

    id: int
    audience: Audience
    agent_id: int | None
    reason: str
    by: str
    since: datetime
    expires_at: datetime | None

    def is_over(self, at: datetime) -> bool:
        """Whether its time has run out; nobody may have ended it yet."""
        return self.expires_at is not None and self.expires_at <= at


@dataclass(frozen=True, slots=True)
class Freezes:
    """All freezes in force as of one generation: those of several agents, the fleet's first, and pauses by the agent's key."""

    generation: UUID | None
    several: Sequence[ActiveFreeze] = ()
    pauses: Mapping[int, ActiveFreeze] | None = None

    @property
    def holds_anybody(self) -> bool:
        """Whether there are any at all."""
        return bool(self.several or self.pauses)

    def holding(self, agent: Agent, at: datetime) -> ActiveFreeze | None:
        """What holds offers to this agent back at ``at``; its pause first, then the fleet's freeze, then selectors'."""
        pause = self.pauses.get(agent.pk) if self.pauses else None
        if pause is not None and not pause.is_over(at):
            return pause
        for freeze in self.several:
            if not freeze.is_over(at) and freeze.audience.includes(agent.instance_uid, agent.labels):
                return freeze
        return None

    def shown(self, at: datetime) -> tuple[ActiveFreeze, ...]:
        """Those of the fleet or a selector at ``at``."""
        return tuple(freeze for freeze in self.several if not freeze.is_over(at))


_known: Freezes | None = None


def current_freezes() -> Freezes:
    """The freezes in force, read anew only when one began or ended: one small query otherwise."""
    global _known  # noqa: PLW0603  a cache of committed rows, replaced whole
    token = FreezeGeneration.objects.filter(pk=1).values_list("token", flat=True).first()
    known = _known
    if known is None or known.generation != token:
        known = _read(token)
        if token is not None:
            _known = known
    return known


def holding(agent: Agent, at: datetime) -> ActiveFreeze | None:
    """`Freezes.holding` as it is now."""
    return current_freezes().holding(agent, at)


def active() -> tuple[ActiveFreeze, ...]:
    """The freezes of the fleet and of selectors that have not been ended; while there is one, rollouts stay where they are."""
    return tuple(current_freezes().several)


def _read(generation: UUID | None) -> Freezes:
    if generation is None:
        # Nobody ever froze anything.
        return Freezes(None)
    several: list[ActiveFreeze] = []
    pauses: dict[int, ActiveFreeze] = {}
    for row in Freeze.objects.active().order_by("pk"):
        audience: Audience = EVERYONE if row.agent_id else row.parsed_audience()
        freeze = ActiveFreeze(
            row.pk, audience, row.agent_id, row.reason, row.started_by_name, row.started_at, row.expires_at
        )
        if row.agent_id is None:
            several.append(freeze)
        else:
            pauses[row.agent_id] = freeze
    several.sort(key=lambda freeze: freeze.audience != EVERYONE)
    return Freezes(generation, several, pauses)


# --- Freezing the fleet, or a part of it ---------------------------------------------------------------------------


@transaction.atomic
def start_freeze(
    audience: Everyone | Matching, *, reason: str, by: User | None, at: datetime, expires_at: datetime | None = None
) -> Freeze:
    """Offer nothing to these agents any more. Raises `InvalidReason`, `InvalidExpiry`, `FreezeRefused`."""
    reason, expires_at = checked_reason(reason), checked_expiry(expires_at, at)
    _end_expired(at)
    _lock_and_bump()
    present = list(Freeze.objects.active().of_several().order_by("pk"))
    same = next((row for row in present if row.parsed_audience() == audience), None)
    if same is not None:
        raise FreezeRefused(
            Message(
                "frozen-already",
                "Freeze {number} holds these agents already, since {by} said: {reason}",
                number=same.pk,
                by=same.started_by_name,
                reason=same.reason,
            )
        )
    if len(present) >= MOST_ACTIVE:
        raise FreezeRefused(
            Message("too-many-freezes", "There are {most} freezes in force; end some first.", most=MOST_ACTIVE)
        )
    row = Freeze.objects.create(
        audience=stored(audience),
        reason=reason,
        started_by=by,
        started_by_name=_name(by),
        started_at=at,
        expires_at=expires_at,
    )
    accounts.record(by=by, verb="freeze.start", target=row, name=audience_name(audience), data=_said(row))
    publish(FreezeEvent, [_event(row, ended=False, by=_name(by), at=at)])
    return row


@transaction.atomic
def end_freeze(freeze_id: int, *, by: User | None, at: datetime) -> Freeze:
    """Go on offering, at once. Also ends the pause of one agent. Raises `Freeze.DoesNotExist`, `NotFrozen`."""
    row = Freeze.objects.get(pk=freeze_id)
    if not _end([row.pk], by=by, at=at):
        raise NotFrozen(Message("freeze-over", "Freeze {number} is over already.", number=freeze_id))
    row.refresh_from_db()
    return row


def end_all(*, by: User | None, at: datetime) -> int:
    """End every freeze of the fleet and of selectors; returns how many. Pauses of single agents stay."""
    with transaction.atomic():
        keys = list(Freeze.objects.active().of_several().values_list("pk", flat=True))
        return len(_end(keys, by=by, at=at))


@transaction.atomic
def end_expired(at: datetime) -> int:
    """End those whose time is over; returns how many. The leading process calls it now and then.

    They hold nobody any more since their time was over: this wakes who waited, and tells.
    """
    return _end_expired(at)


def _end_expired(at: datetime) -> int:
    keys = list(Freeze.objects.expired(at).order_by("pk").values_list("pk", flat=True)[:_BATCH])
    return len(_end(keys, by=None, at=at)) if keys else 0


# --- Pausing single agents -----------------------------------------------------------------------------------------


@transaction.atomic
def pause_agents(
    agent_ids: Sequence[int], *, reason: str, by: User | None, at: datetime, expires_at: datetime | None = None
) -> BulkOutcome:
    """Offer these agents nothing any more; those paused already are skipped. Raises `InvalidReason`, `InvalidExpiry`."""
    reason, expires_at = checked_reason(reason), checked_expiry(expires_at, at)
    outcome = BulkOutcome()
    agents = list(Agent.objects.filter(pk__in=agent_ids).locked())
    # Their time is over, and the leader has not come by yet.
    _end([*Freeze.objects.expired(at).filter(agent__in=agent_ids).values_list("pk", flat=True)], by=None, at=at)
    _lock_and_bump()
    paused = dict(Freeze.objects.active().filter(agent__in=agent_ids).values_list("agent_id", "started_by_name"))
    rows = []
    for agent in agents:
        if agent.pk in paused:
            outcome.skip(
                agent.instance_uid,
                Message("agent-paused-already", "It is paused already, by {by}.", by=paused[agent.pk]),
            )
            continue
        rows.append(
            Freeze(
                audience=stored(Instances(frozenset({agent.instance_uid}))),
                agent=agent,
                reason=reason,
                started_by=by,
                started_by_name=_name(by),
                started_at=at,
                expires_at=expires_at,
            )
        )
    rows = Freeze.objects.bulk_create(rows)
    outcome.asked = len(rows)
    said = {"reason": reason, "expires_at": _moment(expires_at)}
    write_lines(
        AgentEvent(agent=row.agent, at=at, kind=PAUSED, data={**said, "by": by.get_username() if by else ""})
        for row in rows
    )
    accounts.record_all(
        [(row.agent, row.agent.name_and_host(), said) for row in rows if row.agent], by=by, verb="agent.pause"
    )
    publish(FreezeEvent, [_event(row, ended=False, by=_name(by), at=at) for row in rows])
    return outcome


def pause_agent(
    agent: Agent, *, reason: str, by: User | None, at: datetime, expires_at: datetime | None = None
) -> Freeze:
    """`pause_agents` for one. Raises `FreezeRefused` when it is paused already."""
    outcome = pause_agents([agent.pk], reason=reason, by=by, at=at, expires_at=expires_at)
    if outcome.sample:
        raise FreezeRefused(outcome.sample[0][1])
    return Freeze.objects.active().get(agent=agent)


@transaction.atomic
def resume_agents(agent_ids: Sequence[int], *, by: User | None, at: datetime) -> BulkOutcome:
    """Offer these agents what waited for them; those that are not paused are skipped. A freeze goes on holding them."""
    outcome = BulkOutcome()
    uids = dict(Agent.objects.filter(pk__in=agent_ids).values_list("pk", "instance_uid"))
    keys = list(Freeze.objects.active().filter(agent__in=agent_ids).values_list("pk", flat=True))
    ended = {row.agent_id for row in _end(keys, by=by, at=at)}
    outcome.asked = len(ended)
    for key, uid in uids.items():
        if key not in ended:
            outcome.skip(uid, Message("agent-not-paused", "It is not paused."))
    return outcome


def resume_agent(agent: Agent, *, by: User | None, at: datetime) -> None:
    """`resume_agents` for one. Raises `NotFrozen` when it is not paused."""
    outcome = resume_agents([agent.pk], by=by, at=at)
    if outcome.sample:
        raise NotFrozen(outcome.sample[0][1])


def held_among(waiting: AgentQuerySet, at: datetime) -> int:
    """Of agents to whom something is to be offered, those that a freeze, a pause or a missing approval keeps it from."""
    freezes = current_freezes()
    held: int = waiting.exclude(approval=Approval.APPROVED).count()
    if freezes.several or freezes.pauses:
        rows = waiting.filter(approval=Approval.APPROVED).order_by().only("pk", "instance_uid", "labels")
        held += sum(freezes.holding(agent, at) is not None for agent in rows.iterator(chunk_size=_CHUNK))
    return held


def paused_keys() -> QuerySet[Freeze, int]:
    """The keys of the agents that are paused, for a condition."""
    return Freeze.objects.active().exclude(agent=None).order_by().values_list("agent_id", flat=True)


# --- Shared --------------------------------------------------------------------------------------------------------


def released_since(at: datetime) -> set[UUID]:
    """Connected agents for whom something is pending that a freeze held back which ended since ``at``; at most 5,000.

    Processes look there now and then: whoever ended it may have died before anybody was woken.
    """
    ended = Freeze.objects.filter(ended_at__gte=at)
    found: set[UUID] = set()
    for agents in _held_by(ended):
        found |= offers.pending_among(agents)
        if len(found) >= offers.MOST_PENDING:
            break
    return set(list(found)[: offers.MOST_PENDING])


def _end(keys: Sequence[int], *, by: User | None, at: datetime) -> list[Freeze]:
    """End those of these that have not ended, in the caller's transaction; wakes who waited, and tells."""
    if not keys:
        return []
    # Agents before the generation, as whoever pauses locks them.
    agent_keys = Freeze.objects.filter(pk__in=keys).exclude(agent=None).values_list("agent_id", flat=True)
    len(Agent.objects.filter(pk__in=list(agent_keys)).locked())
    _lock_and_bump()
    rows = list(Freeze.objects.active().filter(pk__in=keys).select_related("agent").order_by("pk"))
    name = _name(by)
    Freeze.objects.filter(pk__in=[row.pk for row in rows]).update(ended_at=at, ended_by_name=name)
    for row in rows:
        row.ended_at, row.ended_by_name = at, name
    pauses = [row for row in rows if row.agent is not None]
    write_lines(
        AgentEvent(agent=row.agent, at=at, kind=RESUMED, data={"by": by.get_username() if by else ""}) for row in pauses
    )
    accounts.record_all(
        [(row.agent, row.agent.name_and_host(), {"reason": row.reason}) for row in pauses if row.agent],
        by=by,
        verb="agent.resume",
    )
    for row in rows:
        if row.agent is None:
            name_of = audience_name(row.parsed_audience())
            accounts.record(by=by, verb="freeze.end", target=row, name=name_of, data=_said(row))
    publish(FreezeEvent, [_event(row, ended=True, by=name, at=at) for row in rows])
    if len(pauses) < len(rows):
        # Rollouts stood still: the time that a gate allows begins anew.
        running = Rollout.objects.filter(state=Rollout.State.RUNNING)
        running.exclude(stage_began_at=None).update(stage_began_at=at)
        running.update(held_since=None, reasons=[], turn=F("turn") + 1)
    for agents in _held_by(rows):
        wakeups.wake(offers.pending_among(agents))
    return rows


def _held_by(rows: Iterable[Freeze]) -> Iterable[AgentQuerySet]:
    """The agents that these held, a set for each freeze and one for all pauses."""
    paused: list[int] = []
    for row in rows:
        if row.agent_id is not None:
            paused.append(row.agent_id)
            continue
        audience = row.parsed_audience()
        condition = selector_condition(audience.selector) if isinstance(audience, Matching) else Q()
        yield Agent.objects.filter(condition)
    if paused:
        yield Agent.objects.filter(pk__in=paused)


def _lock_and_bump() -> None:
    """Let nobody else start or end one until the transaction ends, and have every process read them anew after it."""
    FreezeGeneration.objects.update_or_create(pk=1, defaults={"token": uuid4()})


def audience_name(audience: Audience) -> str:
    """Whom a freeze holds, in English, for those who read of it later."""
    return str(audience.selector.words) if isinstance(audience, Matching) else "the whole fleet"


def _name(by: User | None) -> str:
    return by.get_username() if by else accounts.SYSTEM


def _moment(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None


def _said(row: Freeze) -> dict[str, object]:
    return {"audience": row.audience, "reason": row.reason, "expires_at": _moment(row.expires_at)}


def _event(row: Freeze, *, ended: bool, by: str, at: datetime) -> FreezeEvent:
    return FreezeEvent(row.pk, ended, row.audience, row.agent_id, row.reason, row.expires_at, at, by)
