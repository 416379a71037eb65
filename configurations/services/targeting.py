"""Which revision each agent should run: the compiled index of selectors, and re-matching exactly the agents concerned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import connection

from agents.models import Agent, AgentEvent
from agents.reports import RemoteConfigStatus, RemoteConfigStatuses
from agents.selectors import Entry, SelectorIndex
from agents.services.timeline import write_lines
from configurations.failures import Failure, carried_to, failure_of, with_failure, without_failure
from configurations.models import Assignment, Configuration, TargetingGeneration
from configurations.outcome import AssignmentStatus, outcome_of
from foundation.bulk_sql import bulk_insert, bulk_read, bulk_save, is_new

_BATCH = 1_000
# Any number, as long as nothing else in this database takes advisory locks under it.
_TARGETING_LOCK = 0x0A4D_5001
# Fields of an assignment whose desired files did not go out since they are desired, or were asked for anew.
NEVER_OFFERED: Mapping[str, Any] = {"offered_hash": "", "offered_lease": "", "offered_at": None, "offer_count": 0}


@dataclass(frozen=True, slots=True)
class Target:
    """What an index entry stands for."""

    configuration_id: int
    name: str
    revision_id: int
    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Targeting:
    """All enabled configurations, compiled, as of one generation."""

    generation: UUID | None
    index: SelectorIndex
    targets: Mapping[int, Target]

    def winner(self, labels: Mapping[str, str]) -> Target | None:
        """The target for an agent with these labels: highest priority, then name."""
        entry = self.index.winner(labels)
        return None if entry is None else self.targets[int(str(entry.key))]


_compiled: Targeting | None = None


def hold_targeting(*, exclusive: bool) -> None:
    """Keep targeting still until the transaction ends: shared while matching, exclusive while changing it.

    Without it a batch could match a newcomer against the old selectors while a publish, which cannot see the newcomer
    yet, re-matches everybody else. SQLite has one writer, so there it holds by itself.
    """
    if connection.vendor == "postgresql":
        function = "pg_advisory_xact_lock" if exclusive else "pg_advisory_xact_lock_shared"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(%s)", [_TARGETING_LOCK])


def bump_generation() -> None:
    """Tell every process to rebuild its index; inside the transaction that changed the targeting."""
    TargetingGeneration.objects.update_or_create(pk=1, defaults={"token": uuid4()})


def current_targeting() -> Targeting:
    """The compiled targeting, rebuilt only when its generation moved: one small query otherwise.

    Only for transactions that did not change it; those use `fresh_targeting`, so that nothing uncommitted is kept.
    """
    global _compiled  # noqa: PLW0603  a cache of committed rows, replaced whole
    token = TargetingGeneration.objects.filter(pk=1).values_list("token", flat=True).first()
    known = _compiled
    if known is None or known.generation != token:
        known = _compiled = _build(token)
    return known


def names_for(labels: Sequence[Mapping[str, str]]) -> list[str]:
    """The names of what agents with these labels should run, ``""`` for nothing."""
    targeting = current_targeting()
    return [target.name if (target := targeting.winner(each)) else "" for each in labels]


def fresh_targeting() -> Targeting:
    """The targeting as this transaction sees it, not kept."""
    return _build(None)


def _build(generation: UUID | None) -> Targeting:
    entries: list[Entry] = []
    targets: dict[int, Target] = {}
    for configuration in Configuration.objects.enabled().select_related("current"):
        revision = configuration.current
        if revision is None:
            continue
        entries.append(
            Entry(
                key=configuration.pk,
                name=configuration.name,
                priority=configuration.priority,
                selector=configuration.parsed_selector(),
            )
        )
        targets[configuration.pk] = Target(
            configuration_id=configuration.pk,
            name=configuration.name,
            revision_id=revision.pk,
            number=revision.number,
            hash=revision.hash,
        )
    return Targeting(generation, SelectorIndex.build(entries), targets)


def lock_agents_of(configuration: Configuration) -> list[int]:
    """Lock all agents that this configuration is assigned to; returns their primary keys.

    Before any assignment is touched, as batches of reports do it.
    """
    assigned = Agent.objects.filter(assignment__configuration=configuration)
    return list(assigned.locked().values_list("pk", flat=True))


# --- Placing agents ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Placement:
    """An agent with its assignment while they are worked on, and the fields of both that changed."""

    agent: Agent
    assignment: Assignment
    dirty_agent: set[str]
    dirty_assignment: set[str]

    def _set(self, row: Agent | Assignment, dirty: set[str], name: str, value: Any) -> bool:
        if getattr(row, name) == value:
            return False
        setattr(row, name, value)
        dirty.add(name)
        return True

    def place(self, target: Target | None, at: datetime) -> AgentEvent | None:
        """Make ``target`` what the agent should run; returns the line for its timeline when that is a change.

        Without a target the agent keeps what it runs and shows "unassigned". An unchanged hash keeps the answer it got;
        another one begins anew, whatever was offered before, and is not offered when it failed here already.
        """
        assignment, agent = self.assignment, self.agent
        if assignment.revision_id == (target.revision_id if target else None) and agent.configuration_name == (
            target.name if target else ""
        ):
            return None
        former_hash, former_name, failure = agent.configuration_hash, agent.configuration_name, self.failure
        values: dict[str, Any] = {
            "configuration_id": target.configuration_id if target else None,
            "revision_id": target.revision_id if target else None,
            "reason": Assignment.Reason.SELECTOR if target else Assignment.Reason.NONE,
            "assigned_at": at,
        }
        if not target or target.hash != former_hash:
            values |= {**NEVER_OFFERED, "retry_requested": False}
        elif failure is not None:
            values |= {"failures": carried_to(assignment.failures, target.hash, target.revision_id)}
        for name, value in values.items():
            self._set(assignment, self.dirty_assignment, name, value)
        self._set(agent, self.dirty_agent, "configuration_name", target.name if target else "")
        self._set(agent, self.dirty_agent, "configuration_revision", target.number if target else None)
        self._set(agent, self.dirty_agent, "configuration_hash", target.hash if target else "")
        self.settle(at)
        if target is None:
            return AgentEvent(agent=agent, at=at, kind=AgentEvent.Kind.UNASSIGNED, data={"former": former_name})
        return AgentEvent(
            agent=agent,
            at=at,
            kind=AgentEvent.Kind.ASSIGNED,
            data={"configuration": target.name, "revision": target.number},
        )

    def forget_offer(self) -> None:
        """The offer sent last did not reach the agent."""
        self._set(self.assignment, self.dirty_assignment, "offered_hash", "")

    @property
    def failure(self) -> Failure | None:
        """The failure that is booked against what the agent should run."""
        assignment = self.assignment
        return failure_of(assignment.failures, self.agent.configuration_hash, assignment.revision_id)

    def book(self, status: RemoteConfigStatus, newest_revisions: Mapping[str, int]) -> None:
        """Remember a failure, or forget one that came right, as an agent has just said (S-63, S-64).

        ``newest_revisions`` are keys by hash, of the hashes that agents called failed. APPLYING forgets nothing: an agent
        that tries once more by itself may go back again without a word of its failure.
        """
        agent, assignment = self.agent, self.assignment
        named, failures = status.last_remote_config_hash.hex(), assignment.failures
        if assignment.status == AssignmentStatus.APPLIED.value and named != agent.configuration_hash:
            # It lost what it had applied. Offers of before that were answered, and do not count as attempts (S-63).
            self._set(assignment, self.dirty_assignment, "offer_count", min(assignment.offer_count, 1))
        if status.status is RemoteConfigStatuses.APPLIED:
            failures = without_failure(failures, named)
        elif status.status is RemoteConfigStatuses.FAILED:
            failed = named or assignment.offered_hash
            revision = newest_revisions.get(failed)
            if failed == agent.configuration_hash:
                # Of what was not offered yet since a person published it, or asked anew, this is an answer of before.
                revision = assignment.revision_id if assignment.offered_hash == failed else None
            if revision is not None:
                failures = with_failure(
                    failures, failed, revision=revision, error=status.error_message, named=bool(named)
                )
        self._set(assignment, self.dirty_assignment, "failures", failures)

    def ask_anew(self, at: datetime) -> None:
        """Whatever the agent answered, what it should run goes out once more, as if it were new."""
        values = {
            **NEVER_OFFERED,
            "failures": without_failure(self.assignment.failures, self.agent.configuration_hash),
            "retry_requested": True,
            "assigned_at": at,
        }
        for name, value in values.items():
            self._set(self.assignment, self.dirty_assignment, name, value)
        self.settle(at)

    def settle(self, at: datetime) -> bool:
        """Weigh what the agent said against what it should run; true when the assignment's status changed."""
        agent, assignment, failure = self.agent, self.assignment, self.failure
        outcome = outcome_of(
            desired_hash=agent.configuration_hash,
            offered_hash=assignment.offered_hash,
            reported_hash=agent.remote_config_hash,
            reported_status=agent.remote_config_status,
            capabilities=agent.capabilities,
            failed=failure is not None,
        )
        self._set(agent, self.dirty_agent, "in_sync", outcome.in_sync)
        self._set(agent, self.dirty_agent, "config_failed", outcome.failed)
        self._set(agent, self.dirty_agent, "config_applying", outcome.status is AssignmentStatus.APPLYING)
        error = failure.error if failure is not None and outcome.failed else ""
        self._set(assignment, self.dirty_assignment, "error_message", error)
        if not self._set(assignment, self.dirty_assignment, "status", outcome.status.value):
            return False
        self._set(assignment, self.dirty_assignment, "status_at", at)
        return True


def assignments_of(agents: Sequence[Agent], at: datetime) -> dict[int, Assignment]:
    """Each agent's assignment by primary key; newcomers get an empty one that `save_placements` inserts."""
    keys = [agent.pk for agent in agents if not is_new(agent)]
    known = {row.agent_id: row for row in bulk_read(Assignment, {"agent": keys})}
    return known | {agent.pk: Assignment(agent=agent, assigned_at=at) for agent in agents if agent.pk not in known}


def rematch_agents(agent_ids: Sequence[int], at: datetime) -> None:
    """Decide anew what these agents should run; their labels changed. The caller wakes them."""
    hold_targeting(exclusive=False)
    rematch(agent_ids, current_targeting(), at)


def rematch(agent_ids: Iterable[int], targeting: Targeting, at: datetime) -> list[UUID]:
    """Match these agents, write what changed, 1,000 at a time; returns the uids of agents whose desired state moved."""
    moved: list[UUID] = []
    keys = sorted(agent_ids)
    for start in range(0, len(keys), _BATCH):
        agents = list(Agent.objects.filter(pk__in=keys[start : start + _BATCH]).locked())
        assignments = assignments_of(agents, at)
        placements = [Placement(agent, assignments[agent.pk], set(), set()) for agent in agents]
        events: list[AgentEvent] = []
        for placement in placements:
            event = placement.place(targeting.winner(placement.agent.labels), at)
            if event is not None:
                events.append(event)
                moved.append(placement.agent.instance_uid)
        save_placements(placements)
        write_lines(events)
    return moved


def save_placements(placements: Sequence[Placement]) -> None:
    """Write the changed fields of both rows in bulk."""
    bulk_save((placement.agent, placement.dirty_agent) for placement in placements)
    new = [placement.assignment for placement in placements if is_new(placement.assignment)]
    changed = [placement for placement in placements if not is_new(placement.assignment)]
    bulk_insert(new)
    bulk_save((placement.assignment, placement.dirty_assignment) for placement in changed)
