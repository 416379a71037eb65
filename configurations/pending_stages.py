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
from agents.selectors import Selector
from configurations.models import RELEASE_SUBJECT, Revision
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


def waits_for(agent: Agent) -> list[WaitsFor]:
    """The active rollouts that concern the agent and have not got to it, the oldest first."""
    return [
        WaitsFor(each.rollout, each.stage_of(agent.instance_uid, agent.labels))
        for each in _under_way()
        if each.is_awaited_by(agent.instance_uid, agent.labels, agent.configuration_name)
    ]


def waiting_keys() -> QuerySet[Any]:
    """The keys of all agents for which `waits_for` has something: found by the same rule, agent by agent.

    Without a rollout under way nothing is read; with one, the agents that its selector matches or that run its configuration.
    """
    keys: set[int] = set()
    for each in _under_way():
        concerned = Q(configuration_name=each.rollout.name)
        if each.revision.enabled:
            concerned |= selector_condition(each.revision.parsed_selector())
        rows = (
            Agent.objects.filter(concerned).order_by().values_list("pk", "instance_uid", "labels", "configuration_name")
        )
        keys |= {key for key, *facts in rows.iterator(chunk_size=_CHUNK) if each.is_awaited_by(*facts)}
    if not keys:
        return Agent.objects.none().values("pk")
    return Agent.objects.filter(Q(_OneOf(F("pk"), Value(json.dumps(sorted(keys)))))).order_by().values("pk")


@dataclass(frozen=True, slots=True)
class _UnderWay:
    rollout: Rollout
    revision: Revision
    selector: Selector
    reached: Audience | None
    stages: tuple[Audience, ...]

    def is_awaited_by(self, instance_uid: UUID, labels: Mapping[str, str], configuration_name: str) -> bool:
        """Whether the rollout concerns the agent and has not got to it."""
        matches = self.revision.enabled and self.selector.matches(labels)
        if not matches and configuration_name != self.rollout.name:
            return False
        return self.reached is None or not self.reached.includes(instance_uid, labels)

    def stage_of(self, instance_uid: UUID, labels: Mapping[str, str]) -> int:
        """With which stage it comes to the agent, counted from 1."""
        return stage_of(self.stages, instance_uid, labels) + 1


def _under_way() -> Iterator[_UnderWay]:
    """The active rollouts, the oldest first, each with what it rolls out and how far it has come."""
    rollouts = list(Rollout.objects.active().filter(subject=RELEASE_SUBJECT).order_by("pk"))
    revisions = (
        Revision.objects.defer("files").in_bulk([rollout.version_id for rollout in rollouts]) if rollouts else {}
    )
    for rollout in rollouts:
        revision = revisions.get(rollout.version_id)
        if revision is not None:
            stages = tuple(rollout.stage_audiences())
            yield _UnderWay(rollout, revision, revision.parsed_selector(), audience_of(rollout), stages)


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
