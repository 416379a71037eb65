"""What is due to agents that talk to us: assignments of a batch settled, offers decided by the protocol noted.

The protocol decides *whether* to offer; this file says what is desired and remembers what was sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Max, Q

from accounts import services as accounts
from accounts.models import User
from agents.models import Agent, AgentEvent
from agents.reports import AgentCapabilities, RemoteConfigStatus, RemoteConfigStatuses
from agents.services.arrivals import Arrival, Recorded
from agents.services.timeline import write_line
from configurations.models import Assignment, Revision
from configurations.outcome import AssignmentStatus
from configurations.recent_configs import RecentConfigs
from configurations.remote_config import DesiredConfig, RemoteConfig
from configurations.services.targeting import (
    Placement,
    assignments_of,
    current_targeting,
    save_placements,
)
from foundation import wakeups
from foundation.clock import is_ahead
from foundation.messages import Sentence

# An agent whose answers never name the hash it was sent is offered it again with doubling pauses, this often at most (S-63).
FIRST_RETRY = timedelta(seconds=30)
MAX_OFFERS = 5
# Of files, in each process: a few large configurations, or thousands of small ones.
_KEPT_BYTES = 8 * 1024 * 1024

_EVENT_OF_STATUS = {
    AssignmentStatus.APPLYING.value: AgentEvent.Kind.APPLYING,
    AssignmentStatus.APPLIED.value: AgentEvent.Kind.APPLIED,
    AssignmentStatus.FAILED.value: AgentEvent.Kind.FAILED,
}


class NothingToRetry(ValueError):
    """The agent has no desired configuration, or cannot take one; the text says which."""


class TargetingNotHeld(Exception):
    """An agent of the batch must be matched, and nobody expected it: the batch begins anew and keeps targeting still."""


def may_match(arrivals: Sequence[Arrival]) -> bool:
    """Whether agents of a batch may have to be matched, as far as can be known before their rows are read."""
    return any(
        arrival.report.agent_description is not None or arrival.known_sequence_num is None for arrival in arrivals
    )


def settle_reports(recorded: Sequence[Recorded], *, targeting_held: bool, at: datetime) -> list[Placement]:
    """Match the relabelled agents of a batch and book its configuration statuses; same transaction as the batch.

    Changes of the agents' rows are added to ``recorded`` and written with it; `save_settled` writes the assignments.
    Raises `TargetingNotHeld` for an agent that the process remembers and somebody has just deleted: targeting is held
    before agents are locked, for a publish takes both in that order, and else each would wait for the other.
    """
    if any(entry.relabelled for entry in recorded):
        if not targeting_held:
            raise TargetingNotHeld
        targeting = current_targeting()
    assignments = assignments_of([entry.agent for entry in recorded], at)
    newest_revisions = _newest_revisions_that_failed(recorded)
    placements = []
    for entry in recorded:
        placement = Placement(entry.agent, assignments[entry.agent.pk], entry.dirty, set())
        said = _fresh_answer(entry)
        if said is not None:
            # Before anything else is desired: it is about what was offered.
            placement.book(said, newest_revisions)
        if entry.relabelled:
            event = placement.place(targeting.winner(entry.agent.labels), at)
            if event is not None:
                entry.events.append(event)
        if entry.gained_capabilities & AgentCapabilities.ACCEPTS_REMOTE_CONFIG:
            # What was on its way when the agent took none was dropped there.
            placement.forget_offer()
        report = entry.arrival.report
        if report.remote_config_status is not None or "capabilities" in entry.dirty or entry.is_new:
            _settle(entry, placement, at)
        placements.append(placement)
    return placements


def _fresh_answer(entry: Recorded) -> RemoteConfigStatus | None:
    """What a report said of configurations, unless the same bytes said it before (S-46), or nothing was merged (S-31)."""
    if entry.repeated or entry.displaced or entry.reassigned:
        return None
    return entry.arrival.report.remote_config_status


def _newest_revisions_that_failed(recorded: Sequence[Recorded]) -> dict[str, int]:
    """The newest revision of each hash that a report calls failed and that is not what its agent should run."""
    hashes = {
        named
        for entry in recorded
        if (said := _fresh_answer(entry)) is not None
        and said.status is RemoteConfigStatuses.FAILED
        and (named := said.last_remote_config_hash.hex())
        and named != entry.agent.configuration_hash
    }
    if not hashes:
        return {}
    revisions = Revision.objects.filter(hash__in=hashes).order_by().values_list("hash")
    return dict(revisions.annotate(newest=Max("pk")))


def _settle(entry: Recorded, placement: Placement, at: datetime) -> None:
    changed = placement.settle(at)
    if _went_back(entry, placement):
        entry.note(AgentEvent.Kind.ROLLED_BACK, at, hash=placement.agent.remote_config_hash[:12])
    if not changed:
        return
    kind = _EVENT_OF_STATUS.get(placement.assignment.status)
    if kind is not None:
        agent = placement.agent
        entry.note(
            kind,
            at,
            configuration=agent.configuration_name,
            revision=agent.configuration_revision,
            error=placement.assignment.error_message[:2000],
        )


def _went_back(entry: Recorded, placement: Placement) -> bool:
    """Whether the agent has just said that it runs other files again, after it was offered what it should run and failed."""
    agent, assignment = placement.agent, placement.assignment
    return (
        assignment.status == AssignmentStatus.FAILED.value
        and assignment.offered_hash == agent.configuration_hash
        and agent.remote_config_status == RemoteConfigStatuses.APPLIED
        and bool(agent.remote_config_hash)
        and not entry.dirty.isdisjoint({"remote_config_hash", "remote_config_status"})
    )


def load_placements(agents: Sequence[Agent], *, at: datetime) -> list[Placement]:
    """Agents with their assignments, for offers that no report asked for."""
    assignments = assignments_of(agents, at)
    return [Placement(agent, assignments[agent.pk], set(), set()) for agent in agents]


def desired_configs(
    placements: Sequence[Placement], *, lease_ids: Mapping[int, str], at: datetime
) -> dict[int, DesiredConfig]:
    """What each agent should run, by primary key; agents with nothing desired are left out.

    ``lease_ids`` names each agent's present connection. Files come from memory by hash; unknown hashes cost one query.
    """
    wanted = {placement.agent.pk: placement for placement in placements if placement.assignment.revision_id}
    hashes = {placement.agent.configuration_hash for placement in wanted.values()}
    configs = _remote_configs(hashes)
    desired: dict[int, DesiredConfig] = {}
    for key, placement in wanted.items():
        agent, assignment, failure = placement.agent, placement.assignment, placement.failure
        config = configs.get(agent.configuration_hash)
        if config is None:
            continue
        named = agent.remote_config_hash == agent.configuration_hash
        refused = failure is not None and not failure.named
        desired[key] = DesiredConfig(
            config=config,
            config_hash=bytes.fromhex(agent.configuration_hash),
            # A failure that is not booked is of before a person asked anew.
            answered=(
                (named and agent.remote_config_status != RemoteConfigStatuses.FAILED)
                or (failure is not None and failure.named)
            ),
            offered=(
                assignment.offered_hash == agent.configuration_hash and assignment.offered_lease == lease_ids[key]
            ),
            retry_due=_retry_due(assignment, at),
            refused=refused,
            forced=assignment.retry_requested,
        )
    return desired


def _retry_due(assignment: Assignment, at: datetime) -> bool:
    retry_at = _retry_at(assignment)
    # An offer of the future went out before the clock was put back: how long ago cannot be known.
    return retry_at is not None and (at >= retry_at or is_ahead(assignment.offered_at, at))


def _retry_at(assignment: Assignment) -> datetime | None:
    if assignment.offered_at is None or assignment.offer_count >= MAX_OFFERS:
        return None
    pause: timedelta = FIRST_RETRY * 2 ** max(assignment.offer_count - 1, 0)
    return assignment.offered_at + pause


def unanswered_until(placement: Placement) -> datetime | None:
    """When the offer this agent has not answered may be sent again, ``None`` when none waits for an answer (S-63)."""
    assignment = placement.assignment
    return _retry_at(assignment) if assignment.status == AssignmentStatus.OFFERED.value else None


def note_offer(placement: Placement, *, lease_id: str, at: datetime) -> AgentEvent:
    """Remember that the desired configuration goes out on this connection now; returns the line for the timeline."""
    assignment, agent = placement.assignment, placement.agent
    assignment.offered_hash, assignment.offered_lease, assignment.offered_at = agent.configuration_hash, lease_id, at
    assignment.offer_count += 1
    assignment.retry_requested = False
    placement.dirty_assignment |= {"offered_hash", "offered_lease", "offered_at", "offer_count", "retry_requested"}
    placement.settle(at)
    return AgentEvent(
        agent=agent,
        at=at,
        kind=AgentEvent.Kind.OFFERED,
        data={"configuration": agent.configuration_name, "revision": agent.configuration_revision},
    )


def save_settled(placements: Iterable[Placement], *, agents_too: bool = False) -> None:
    """Write what `settle_reports` and `note_offer` changed; agents' rows only when no batch writes them anyway."""
    rows = list(placements)
    if not agents_too:
        rows = [Placement(row.agent, row.assignment, set(), row.dirty_assignment) for row in rows]
    save_placements(rows)


@transaction.atomic(durable=True)
def retry_offer(agent_id: int, *, by: User | None, at: datetime) -> None:
    """Offer an agent its configuration once more, although it answered (usually FAILED). Raises `NothingToRetry`."""
    agent = Agent.objects.select_for_update().get(pk=agent_id)
    assignment = Assignment.objects.filter(agent=agent, revision__isnull=False).first()
    if assignment is None:
        raise NothingToRetry(Sentence("No configuration is assigned to {agent}.", agent=str(agent)))
    if not agent.capabilities & AgentCapabilities.ACCEPTS_REMOTE_CONFIG:
        raise NothingToRetry(Sentence("{agent} does not accept remote configuration.", agent=str(agent)))
    placement = Placement(agent, assignment, set(), set())
    placement.ask_anew(at)
    save_placements([placement])
    said = {"configuration": agent.configuration_name, "revision": agent.configuration_revision}
    write_line(
        AgentEvent(
            agent=agent,
            at=at,
            kind=AgentEvent.Kind.COMMAND,
            data={"command": "retry", **said, "by": by.get_username() if by else ""},
        )
    )
    accounts.record(by=by, verb="configuration.retry", target=agent, name=agent.name_and_host(), data=said)
    wakeups.wake([agent.instance_uid])


# --- Files by hash ---------------------------------------------------------------------------------------------------


def _remote_configs(hashes: Iterable[str]) -> dict[str, RemoteConfig]:
    """Files by their hash, from memory where they are."""
    return {key: config for key in hashes if (config := _remote_config(key)) is not None}


_recent = RecentConfigs(_KEPT_BYTES)


def _remote_config(key: str) -> RemoteConfig | None:
    config = _recent.get(key)
    if config is None:
        revision = Revision.objects.filter(hash=key).order_by("-id").first()
        if revision is None:
            # Deleted with its configuration between matching and now; the next wake-up settles the agent.
            return None
        config = revision.remote_config()
        _recent.put(key, config)
    return config


def pending_since(at: datetime, limit: int = 5_000) -> list[UUID]:
    """Connected agents assigned since ``at`` whom nothing was offered yet: what a process looks at in case the wake-up was lost."""
    return list(
        Assignment.objects.filter(
            Q(status=AssignmentStatus.PENDING.value) | Q(retry_requested=True),
            assigned_at__gte=at,
            agent__connected=True,
        ).values_list("agent__instance_uid", flat=True)[:limit]
    )
