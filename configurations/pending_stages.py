"""Which rollouts have yet to come to an agent, and with which stage. Reads only."""

from __future__ import annotations

from dataclasses import dataclass

from agents.models import Agent
from configurations.models import RELEASE_SUBJECT, Assignment, Revision, runs
from rollouts.models import Rollout
from rollouts.progress import stage_of
from rollouts.services.stages import audience_of


@dataclass(frozen=True, slots=True)
class WaitsFor:
    """An agent gets what ``rollout`` rolls out with its ``stage``, counted from 1."""

    rollout: Rollout
    stage: int


def waits_for(agent: Agent) -> list[WaitsFor]:
    """The active rollouts that concern the agent and have not got to it, the oldest first."""
    rollouts = list(Rollout.objects.active().filter(subject=RELEASE_SUBJECT).order_by("pk"))
    if not rollouts:
        return []
    revisions = (
        Revision.objects.defer("files")
        .select_related("configuration")
        .in_bulk([rollout.version_id for rollout in rollouts])
    )
    found = []
    for rollout in rollouts:
        revision = revisions.get(rollout.version_id)
        if revision is None:
            continue
        matches = revision.enabled and revision.parsed_selector().matches(agent.labels)
        if not matches and not Assignment.objects.filter(runs(revision.configuration), agent=agent).exists():
            continue
        reached = audience_of(rollout)
        if reached is None or not reached.includes(agent.instance_uid, agent.labels):
            stage = stage_of(rollout.stage_audiences(), agent.instance_uid, agent.labels)
            found.append(WaitsFor(rollout, stage + 1))
    return found
