"""One agent and what it should run: assigning a revision, booking what the agent says of it, and its status.

Which revision that is decides `targeting`, when to offer it `configurations.desired_config`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.models import Agent, AgentEvent
from agents.reports import RemoteConfigStatus, RemoteConfigStatuses
from configurations.failures import Failure, carried_to, failure_of, with_failure, without_failure
from configurations.models import Assignment
from configurations.outcome import AssignmentStatus, outcome_of
from foundation.bulk_sql import bulk_read, is_new
from foundation.unit_of_work import UnitOfWork

# Fields of an assignment whose desired files did not go out since they are desired, or were asked for anew.
NEVER_OFFERED: Mapping[str, Any] = {"offered_hash": "", "offered_lease": "", "offered_at": None, "offer_count": 0}


@dataclass(frozen=True, slots=True)
class Target:
    """What an agent may be assigned to: one revision of one configuration; ``pinned``: by a person, whatever selectors say.

    Of a ``templated`` one ``hash`` is of the templates until `rendering.Renderer` says what it is for an agent; where there
    is no result for it, ``error`` says why and ``hash`` stays.

    ``fragments`` are added to it, the strongest first; where nothing but fragments matches there is no configuration. With
    them ``hash`` and ``templated`` are of all together once ``composition_id`` is known (`composing.Compositions`).
    """

    configuration_id: int | None
    name: str
    revision_id: int | None
    number: int | None
    hash: str
    templated: bool = False
    error: str = ""
    pinned: bool = False
    fragments: tuple[Target, ...] = ()
    composition_id: int | None = None

    @property
    def parts(self) -> tuple[Target, ...]:
        """What is put together, the strongest first: each has a revision."""
        return self.fragments if self.revision_id is None else (self, *self.fragments)

    @property
    def newest_fragment(self) -> int | None:
        """The key of the fragments' newest revision."""
        return max((part.revision_id or 0 for part in self.fragments), default=None)

    @property
    def newest_id(self) -> int:
        """As `Assignment.newest_id`."""
        return max(self.revision_id or 0, self.newest_fragment or 0)

    @property
    def reason(self) -> Assignment.Reason:
        """Why the agent should run it."""
        if self.revision_id is None:
            return Assignment.Reason.FRAGMENTS
        return Assignment.Reason.PINNED if self.pinned else Assignment.Reason.SELECTOR


@dataclass(slots=True)
class AssignedAgent:
    """An agent with its assignment while they are worked on; ``work`` writes what changes, at its time."""

    work: UnitOfWork
    agent: Agent
    assignment: Assignment

    def assign(self, target: Target | None) -> AgentEvent | None:
        """Make ``target`` what the agent should run; returns the line for its timeline when that is a change.

        Without a target the agent keeps what it runs and shows "unassigned". An unchanged hash keeps the answer it got;
        another one begins anew, whatever was offered before, and is not offered when it failed here already. One that the agent
        had before an offer that it has not answered is offered in any case.
        """
        assignment, agent = self.assignment, self.agent
        error = target.error if target else ""
        same_revisions = (assignment.revision_id, assignment.composition_id) == (
            (target.revision_id, target.composition_id) if target else (None, None)
        )
        if (
            same_revisions
            and agent.configuration_name == (target.name if target else "")
            and agent.configuration_hash == (target.hash if target else "")
            and assignment.rendering_error == error
        ):
            if target is not None:
                self.work.change(assignment, "reason", target.reason)
            return None
        former_hash, former_name, failure = agent.configuration_hash, agent.configuration_name, self.failure
        values: dict[str, Any] = {
            "configuration_id": target.configuration_id if target else None,
            "revision_id": target.revision_id if target else None,
            "composition_id": target.composition_id if target else None,
            "newest_fragment": target.newest_fragment if target else None,
            "reason": target.reason if target else Assignment.Reason.NONE,
            "assigned_at": self.work.at,
            "rendering_error": error,
        }
        if not target or target.hash != former_hash:
            values |= {**NEVER_OFFERED, "retry_requested": target is not None and self._may_run_another(target)}
        elif failure is not None:
            values |= {"failures": carried_to(assignment.failures, target.hash, target.newest_id)}
        for name, value in values.items():
            self.work.change(assignment, name, value)
        self.work.change(agent, "configuration_name", target.name if target else "")
        self.work.change(agent, "configuration_revision", target.number if target else None)
        self.work.change(agent, "configuration_hash", target.hash if target else "")
        self.update_status()
        if target is None:
            return AgentEvent(
                agent=agent, at=self.work.at, kind=AgentEvent.Kind.UNASSIGNED, data={"former": former_name}
            )
        said: dict[str, Any] = {"configuration": target.name, "revision": target.number}
        if target.fragments:
            said["fragments"] = [[part.name, part.number] for part in target.fragments]
        if error:
            data = {**said, "error": error}
            return AgentEvent(agent=agent, at=self.work.at, kind=AgentEvent.Kind.FAILED, data=data)
        return AgentEvent(agent=agent, at=self.work.at, kind=AgentEvent.Kind.ASSIGNED, data=said)

    def _may_run_another(self, target: Target) -> bool:
        """Whether the agent reports that it runs ``target``, but was offered something else since and has not answered that.

        It may be about to run the other, so its word is of before; who failed and went back by itself has said so (S-64).
        """
        agent, assignment = self.agent, self.assignment
        return (
            not target.error
            and agent.remote_config_hash == target.hash
            and assignment.status == AssignmentStatus.OFFERED.value
            and assignment.offered_hash == agent.configuration_hash != ""
            and failure_of(assignment.failures, target.hash, target.newest_id) is None
        )

    def forget_offer(self) -> None:
        """The offer sent last did not reach the agent."""
        self.work.change(self.assignment, "offered_hash", "")

    @property
    def failure(self) -> Failure | None:
        """The failure that is booked against what the agent should run."""
        assignment = self.assignment
        return failure_of(assignment.failures, self.agent.configuration_hash, assignment.newest_id)

    def book(self, status: RemoteConfigStatus, newest_revisions: Mapping[str, int]) -> None:
        """Remember a failure, or forget one that came right, as an agent has just said (S-63, S-64).

        ``newest_revisions`` are keys by hash, of the hashes that agents called failed. APPLYING forgets nothing: an agent
        that tries once more by itself may go back again without a word of its failure.
        """
        agent, assignment = self.agent, self.assignment
        named, failures = status.last_remote_config_hash.hex(), assignment.failures
        if assignment.status == AssignmentStatus.APPLIED.value and named != agent.configuration_hash:
            # It lost what it had applied. Offers of before that were answered, and do not count as attempts (S-63).
            self.work.change(assignment, "offer_count", min(assignment.offer_count, 1))
        if status.status is RemoteConfigStatuses.APPLIED:
            failures = without_failure(failures, named)
        elif status.status is RemoteConfigStatuses.FAILED:
            failed = named or assignment.offered_hash
            revision = newest_revisions.get(failed)
            if failed == agent.configuration_hash:
                # Of what was not offered yet since a person published it, or asked anew, this is an answer of before.
                revision = assignment.newest_id if assignment.offered_hash == failed else None
            if revision is not None:
                failures = with_failure(
                    failures, failed, revision=revision, error=status.error_message, named=bool(named)
                )
        self.work.change(assignment, "failures", failures)

    def ask_anew(self) -> None:
        """Whatever the agent answered, what it should run goes out once more, as if it were new."""
        values = {
            **NEVER_OFFERED,
            "failures": without_failure(self.assignment.failures, self.agent.configuration_hash),
            "retry_requested": True,
            "assigned_at": self.work.at,
        }
        for name, value in values.items():
            self.work.change(self.assignment, name, value)
        self.update_status()

    def update_status(self) -> bool:
        """Weigh what the agent said against what it should run; true when the assignment's status changed."""
        agent, assignment, failure = self.agent, self.assignment, self.failure
        outcome = outcome_of(
            desired_hash=agent.configuration_hash,
            offered_hash=assignment.offered_hash,
            reported_hash=agent.remote_config_hash,
            reported_status=agent.remote_config_status,
            capabilities=agent.capabilities,
            failed=failure is not None or bool(assignment.rendering_error),
        )
        self.work.change(agent, "in_sync", outcome.in_sync)
        self.work.change(agent, "config_failed", outcome.failed)
        self.work.change(agent, "config_applying", outcome.status is AssignmentStatus.APPLYING)
        if outcome.status is not AssignmentStatus.APPLIED:
            # Only from what was applied an agent can drift.
            self.work.change(agent, "config_drifted", False)
        error = assignment.rendering_error or (failure.error if failure is not None else "")
        error = error if outcome.failed else ""
        self.work.change(assignment, "error_message", error)
        if not self.work.change(assignment, "status", outcome.status.value):
            return False
        self.work.change(assignment, "status_at", self.work.at)
        return True

    def note_offer(self, lease_id: str) -> AgentEvent:
        """The desired configuration goes out on this connection now; returns the line for the timeline."""
        assignment, agent = self.assignment, self.agent
        values: dict[str, Any] = {
            "offered_hash": agent.configuration_hash,
            "offered_lease": lease_id,
            "offered_at": self.work.at,
            "offer_count": assignment.offer_count + 1,
            "retry_requested": False,
        }
        for name, value in values.items():
            self.work.change(assignment, name, value)
        self.update_status()
        return AgentEvent(
            agent=agent,
            at=self.work.at,
            kind=AgentEvent.Kind.OFFERED,
            data={"configuration": agent.configuration_name, "revision": agent.configuration_revision},
        )


def assigned_agents(agents: Sequence[Agent], work: UnitOfWork) -> list[AssignedAgent]:
    """The agents with their assignments, in the same order; those that have none get an empty one, which ``work`` inserts."""
    keys = [agent.pk for agent in agents if not is_new(agent)]
    known = {row.agent_id: row for row in bulk_read(Assignment, {"agent": keys})}
    assigned = []
    for agent in agents:
        assignment = known.get(agent.pk)
        if assignment is None:
            assignment = Assignment(agent=agent, assigned_at=work.at)
            work.insert(assignment)
        assigned.append(AssignedAgent(work, agent, assignment))
    return assigned
