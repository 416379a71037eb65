"""Configurations as something the server offers: what a batch's agents should run, and what they said of it.

Whether to offer it is decided by `DesiredConfig`; this file says what is desired and remembers what was sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Max, Q

from agents.models import AgentEvent, AgentQuerySet
from agents.remote_config import RemoteConfig
from agents.replies import Reply
from agents.reports import AgentCapabilities, RemoteConfigStatus, RemoteConfigStatuses
from agents.services.batch import BatchAgent, ReportingAgent
from agents.services.offers import MOST_PENDING, LockMissed, Offer
from configurations import metrics
from configurations.desired_config import DesiredConfig
from configurations.drift_lines import OFFERED_AGAIN
from configurations.models import Assignment, Composition, Revision
from configurations.outcome import AssignmentStatus
from configurations.services.assigning import AssignedAgent, Target, assigned_agents
from configurations.services.drifting import note_drift
from configurations.services.offering_again import drift_offer_due, is_offered_on_drift, retry_at, retry_due
from configurations.services.rendering import Renderer, desired_files
from configurations.services.targeting import current_targeting, hold_targeting
from rollouts.services.freezing import Freezes, current_freezes

_WAITING = Q(status=AssignmentStatus.PENDING.value) | Q(retry_requested=True)
_EVENT_OF_STATUS = {
    AssignmentStatus.APPLYING.value: AgentEvent.Kind.APPLYING,
    AssignmentStatus.APPLIED.value: AgentEvent.Kind.APPLIED,
    AssignmentStatus.FAILED.value: AgentEvent.Kind.FAILED,
}


class ConfigurationOffer(Offer):
    """Relabelled agents are matched, statuses are booked, and who should run something else than it does is told so."""

    def lock(self) -> None:
        """Keep targeting still if an agent may have to be matched, as far as can be known before their rows are read.

        Before agents are locked, for a publish takes both in that order, and else each would wait for the other.
        """
        self._holds_targeting = self.batch.may_match
        if self._holds_targeting:
            hold_targeting(exclusive=False)

    def read(self) -> None:
        """The assignments; agents never seen get theirs here."""
        members: Sequence[BatchAgent] = self.batch.agents
        assigned = assigned_agents([member.agent for member in members], self.batch)
        self._assigned = {each.agent.pk: each for each in assigned}
        self._files: dict[str, RemoteConfig | None] = {}
        self._renderer = Renderer()
        self._freezes: Freezes | None = None

    def note_reports(self) -> None:
        """Match the relabelled agents and book what was said of configurations.

        Raises `LockMissed` for an agent that the process remembers and somebody has just deleted: it must be matched.
        """
        reporting: Sequence[ReportingAgent] = self.batch.agents
        relabelled = [member for member in reporting if member.relabelled]
        if relabelled and not self._holds_targeting:
            raise LockMissed
        targets = self._targets(relabelled)
        newest_revisions = _newest_revisions_that_failed(reporting)
        for member in reporting:
            assigned = self._assigned[member.agent.pk]
            said = _fresh_answer(member)
            if said is not None:
                # Before anything else is desired: it is about what was offered.
                assigned.book(said, newest_revisions)
            if member.relabelled:
                target = self._renderer.for_agent(targets[member.agent.pk], member.agent.labels)
                event = assigned.assign(target)
                if event is not None:
                    member.events.append(event)
            if member.gained_capabilities & AgentCapabilities.ACCEPTS_REMOTE_CONFIG:
                # What was on its way when the agent took none was dropped there.
                assigned.forget_offer()
            if (
                member.arrival.report.remote_config_status is not None
                or member.is_new
                or member.changed("capabilities")
            ):
                _update_status(member, assigned)
        note_drift(reporting, self._assigned, self._renderer)

    def _targets(self, relabelled: Sequence[ReportingAgent]) -> dict[int, Target | None]:
        """What each should run, by the agent's key."""
        if not relabelled:
            return {}
        targeting = current_targeting()
        targets = {member.agent.pk: targeting.target_of(member.agent) for member in relabelled}
        self._renderer.prepare(targets.values())
        return targets

    def part(self, agent: BatchAgent) -> DesiredConfig | None:
        """``None`` for an agent that should run nothing of ours, for which there is nothing to send, or that is held."""
        assigned, row = self._assigned[agent.agent.pk], agent.agent
        assignment, failure = assigned.assignment, assigned.failure
        if assignment.newest_id is None or assignment.rendering_error or self._is_held(agent, assigned):
            return None
        if row.configuration_hash not in self._files:
            self._files[row.configuration_hash] = desired_files(
                assignment, row.configuration_hash, row.labels, self._renderer
            )
        config = self._files[row.configuration_hash]
        if config is None:
            return None
        named = row.remote_config_hash == row.configuration_hash
        return DesiredConfig(
            config=config,
            config_hash=bytes.fromhex(row.configuration_hash),
            # A failure that is not booked is of before a person asked anew.
            answered=(
                (named and row.remote_config_status != RemoteConfigStatuses.FAILED)
                or (failure is not None and failure.named)
            ),
            offered=assignment.offered_hash == row.configuration_hash and assignment.offered_lease == row.lease_id,
            retry_due=retry_due(assignment, self.batch.at),
            refused=failure is not None and not failure.named,
            forced=assignment.retry_requested or self._lost_it(agent, assigned),
        )

    def _lost_it(self, agent: BatchAgent, assigned: AssignedAgent) -> bool:
        """Whether the agent runs something else than it applied and may be offered that once more now."""
        return drift_offer_due(agent.agent, assigned.assignment, self.batch.at)

    def _is_held(self, agent: BatchAgent, assigned: AssignedAgent) -> bool:
        """Whether a freeze or a pause keeps the files back; looked up only where there may be something to offer."""
        is_applied = assigned.assignment.status == AssignmentStatus.APPLIED.value
        if is_applied and not assigned.assignment.retry_requested and not self._lost_it(agent, assigned):
            return False
        if self._freezes is None:
            self._freezes = current_freezes()
        return self._freezes.holding(agent.agent, self.batch.at) is not None

    def note_sent(self, agent: BatchAgent, reply: Reply) -> None:
        """The desired configuration goes out on the agent's present connection."""
        if reply.remote_config is None:
            return
        assigned = self._assigned[agent.agent.pk]
        metrics.OFFERS.labels("again" if assigned.assignment.offer_count else "first").inc()
        lost_it = is_offered_on_drift(agent.agent, assigned.assignment) and not assigned.assignment.retry_requested
        line = assigned.note_offer(agent.agent.lease_id)
        if lost_it:
            line.kind, line.data = OFFERED_AGAIN, {**line.data, "offers": assigned.assignment.offer_count}
        agent.events.append(line)

    def due_again_at(self, agent: BatchAgent) -> datetime | None:
        """When the offer this agent has not answered, or has not kept to, may be sent again (S-63)."""
        assignment = self._assigned[agent.agent.pk].assignment
        waits = assignment.status == AssignmentStatus.OFFERED.value or is_offered_on_drift(agent.agent, assignment)
        return retry_at(assignment) if waits else None

    @classmethod
    def pending_since(cls, at: datetime) -> Iterable[UUID]:
        """Agents assigned since ``at`` to whom nothing was offered yet."""
        rows = Assignment.objects.filter(_WAITING, assigned_at__gte=at, agent__connected=True)
        return rows.values_list("agent__instance_uid", flat=True)[:MOST_PENDING]

    @classmethod
    def pending_among(cls, agents: AgentQuerySet) -> Iterable[UUID]:
        """Of these the connected ones that were offered nothing yet, whenever they were assigned."""
        rows = Assignment.objects.filter(_WAITING, agent__in=agents.filter(connected=True).order_by().values("pk"))
        return rows.values_list("agent__instance_uid", flat=True)


def _fresh_answer(member: ReportingAgent) -> RemoteConfigStatus | None:
    """What a report said of configurations, unless the same bytes said it before (S-46), or nothing was merged (S-31)."""
    if member.repeated or not member.speaks:
        return None
    return member.arrival.report.remote_config_status


def _newest_revisions_that_failed(reporting: Sequence[ReportingAgent]) -> dict[str, int]:
    """The newest revision of each hash that a report calls failed and that is not what its agent should run."""
    hashes = {
        named
        for member in reporting
        if (said := _fresh_answer(member)) is not None
        and said.status is RemoteConfigStatuses.FAILED
        and (named := said.last_remote_config_hash.hex())
        and named != member.agent.configuration_hash
    }
    if not hashes:
        return {}
    revisions = Revision.objects.filter(hash__in=hashes).order_by().values_list("hash")
    newest = dict(revisions.annotate(newest=Max("pk")))
    composed = hashes - newest.keys()
    if composed:
        compositions = Composition.objects.filter(hash__in=composed).order_by().values_list("hash")
        newest |= dict(compositions.annotate(latest=Max("newest")))
    return newest


def _update_status(member: ReportingAgent, assigned: AssignedAgent) -> None:
    """The assignment's status by what is known now, with lines for the timeline."""
    changed = assigned.update_status()
    agent, assignment = assigned.agent, assigned.assignment
    if _went_back(member, assigned):
        member.tell(AgentEvent.Kind.ROLLED_BACK, hash=agent.remote_config_hash[:12])
    kind = _EVENT_OF_STATUS.get(assignment.status) if changed else None
    if kind is not None:
        member.tell(
            kind,
            configuration=agent.configuration_name,
            revision=agent.configuration_revision,
            error=assignment.error_message[:2000],
        )


def _went_back(member: ReportingAgent, assigned: AssignedAgent) -> bool:
    """Whether the agent has just said that it runs other files again, after it was offered what it should run and failed."""
    agent, assignment = assigned.agent, assigned.assignment
    return (
        assignment.status == AssignmentStatus.FAILED.value
        and assignment.offered_hash == agent.configuration_hash
        and agent.remote_config_status == RemoteConfigStatuses.APPLIED
        and bool(agent.remote_config_hash)
        and member.changed("remote_config_hash", "remote_config_status")
    )
