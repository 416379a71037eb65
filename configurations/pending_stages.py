"""Which rollouts have yet to come to an agent, and with which stage. Reads only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import BooleanField, F, Func, Q, QuerySet, Value

from agents.label_conditions import selector_condition
from agents.models import Agent
from configurations.models import RELEASE_SUBJECT, Revision, agents_running
from rollouts.audiences import Audience
from rollouts.models import Rollout
from rollouts.progress import stage_of
from rollouts.services.stages import audience_of

_CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class WaitsFor:
    """An agent gets what ``rollout`` rolls out with its ``stage``, counted from 1."""

    rollout: Rollout
    stage: int

    @property
    def stage_name(self) -> str:
        """What people call the stage; empty for one without a name."""
        return self.rollout.parsed_policy().name_of(self.stage - 1)


def waits_for(agent: Agent) -> list[WaitsFor]:
    """The active rollouts that concern the agent and have not got to it, the oldest first."""
    return [
        WaitsFor(each.rollout, each.stage_of(agent.instance_uid, agent.labels))
        for each in _under_way()
        if not each.has_reached(agent.instance_uid, agent.labels) and each.concerns(agent)
    ]


def waiting_keys() -> QuerySet[Any]:
    """The keys of all agents for which `waits_for` has something: found by the same rule, agent by agent.

    Without a rollout under way nothing is read; with one, the agents that its selector matches or that run its configuration.
    """
    keys: set[int] = set()
    for each in _under_way():
        rows = Agent.objects.filter(each.concerned()).order_by().values_list("pk", "instance_uid", "labels")
        keys |= {key for key, *facts in rows.iterator(chunk_size=_CHUNK) if not each.has_reached(*facts)}
    if not keys:
        return Agent.objects.none().values("pk")
    return Agent.objects.filter(Q(_OneOf(F("pk"), Value(json.dumps(sorted(keys)))))).order_by().values("pk")


@dataclass(frozen=True, slots=True)
class _UnderWay:
    rollout: Rollout
    revision: Revision
    reached: Audience | None
    stages: tuple[Audience, ...]

    def concerned(self) -> Q:
        """The agents that should run the configuration, and those that the revision would have run it."""
        found = agents_running(self.revision.configuration)
        return found | selector_condition(self.revision.parsed_selector()) if self.revision.enabled else found

    def concerns(self, agent: Agent) -> bool:
        """Whether the agent is one of them."""
        if self.revision.enabled and self.revision.parsed_selector().matches(agent.labels):
            return True
        return Agent.objects.filter(agents_running(self.revision.configuration), pk=agent.pk).exists()

    def has_reached(self, instance_uid: UUID, labels: Mapping[str, str]) -> bool:
        """Whether the rollout has come to the agent already."""
        return self.reached is not None and self.reached.includes(instance_uid, labels)

    def stage_of(self, instance_uid: UUID, labels: Mapping[str, str]) -> int:
        """With which stage it comes to the agent, counted from 1."""
        return stage_of(self.stages, instance_uid, labels) + 1


def _under_way() -> Iterator[_UnderWay]:
    """The active rollouts, the oldest first, each with what it rolls out and how far it has come."""
    rollouts = list(Rollout.objects.active().filter(subject=RELEASE_SUBJECT).order_by("pk"))
    found = Revision.objects.defer("files").select_related("configuration")
    revisions = found.in_bulk([rollout.version_id for rollout in rollouts]) if rollouts else {}
    for rollout in rollouts:
        revision = revisions.get(rollout.version_id)
        if revision is not None:
            yield _UnderWay(rollout, revision, audience_of(rollout), tuple(rollout.stage_audiences()))


class _OneOf(Func):
    """Whether a key is one of a JSON list of numbers: one parameter, however long the list."""

    template = "(%(expressions)s)))"
    arg_joiner = " IN (SELECT value FROM JSON_EACH("
    output_field: ClassVar[Any] = BooleanField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """The same with PostgreSQL's name for the function."""
        joiner = " IN (SELECT JSONB_ARRAY_ELEMENTS_TEXT("
        return self.as_sql(
            compiler, connection, template="(%(expressions)s::jsonb)::bigint))", arg_joiner=joiner, **context
        )
