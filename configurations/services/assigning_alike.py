"""Assigning many agents at once: those that are in the same state and get the same target change alike.

What changes is decided once for each such group, by `AssignedAgent.assign` on one of its agents, and written to the others by
set statements. It must not know where targets come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Model, TextField
from django.db.models.functions import Cast

from agents.models import Agent, AgentEvent
from agents.services.timeline import write_line_of_each, write_lines
from configurations.models import Assignment
from configurations.services.assigning import AssignedAgent, Target, assigned_agents
from foundation.bulk_sql import among, bulk_set
from foundation.unit_of_work import UnitOfWork

_READ = 2_000
_WRITTEN = 1_000
# All of an agent that `AssignedAgent.assign` reads or changes.
_AGENT_STATE = (
    "configuration_name", "configuration_revision", "configuration_hash", "remote_config_hash", "remote_config_status",
    "capabilities", "in_sync", "config_failed", "config_applying", "config_drifted",
)  # fmt: skip
# Of an assignment these are written without being read, and of these only matters whether they say anything.
_UNREAD = ("agent_id", "assigned_at", "status_at")
_YES_OR_NO = ("offered_lease", "offered_at", "offer_count")


class MatchedAgent(NamedTuple):
    """What a target is chosen by."""

    pk: int
    instance_uid: UUID
    labels: Mapping[str, str]


_Members = list[tuple[int, UUID]]


def assign_alike(
    keys: Sequence[int], targets_for: Callable[[Sequence[MatchedAgent]], Sequence[Target | None]], at: datetime
) -> list[UUID]:
    """Lock the agents with these keys, which grow, and assign each what ``targets_for`` says of it.

    Rows are written only where something changes. Returns the uids of the agents whose desired state moved.
    """
    groups = iter(_groups(keys, targets_for).items())
    moved: list[UUID] = []
    while part := list(islice(groups, _WRITTEN)):
        moved += _write(part, at)
    return moved


def _groups(
    keys: Sequence[int], targets_for: Callable[[Sequence[MatchedAgent]], Sequence[Target | None]]
) -> dict[tuple[Target | None, Any, Any], _Members]:
    """The agents (key and uid) by what they are to have, their own state, and their assignment's."""
    groups: dict[tuple[Target | None, Any, Any], _Members] = {}
    for agents in _chunks(keys):
        # Agents first: only then their assignments stay as they are read.
        locked = (
            Agent.objects.filter(among("pk", agents))
            .locked()
            .values_list("pk", "instance_uid", "labels", *_AGENT_STATE)
        )
        rows = list(locked)
        assignments = _assignment_states(agents)
        targets = targets_for([MatchedAgent(*row[:3]) for row in rows])
        for (key, uid, _labels, *state), target in zip(rows, targets, strict=True):
            # An agent without an assignment gets one of its own.
            group = (target, tuple(state), assignments.get(key, key))
            groups.setdefault(group, []).append((key, uid))
    return groups


def _assignment_states(agents: Sequence[int]) -> dict[int, Any]:
    names = [field.attname for field in Assignment._meta.concrete_fields]
    compared = [name for name in names if name not in (*_UNREAD, *_YES_OR_NO, "failures")]
    # As text it can be compared.
    columns: tuple[Any, ...] = ("agent_id", *_YES_OR_NO, *compared, Cast("failures", TextField()))
    rows = Assignment.objects.filter(among("agent_id", agents)).order_by().values_list(*columns)
    first = 1 + len(_YES_OR_NO)
    return {row[0]: (*map(bool, row[1:first]), *row[first:]) for row in rows}


def _write(groups: Sequence[tuple[tuple[Target | None, Any, Any], _Members]], at: datetime) -> list[UUID]:
    work, others = UnitOfWork(at), _Others()
    firsts = Agent.objects.filter(among("pk", [members[0][0] for _group, members in groups])).order_by("pk")
    assigned = {each.agent.pk: each for each in assigned_agents(list(firsts), work)}
    events: list[AgentEvent] = []
    moved: list[UUID] = []
    for (target, _state, _assignment_state), members in groups:
        one = assigned[members[0][0]]
        event = one.assign(target)
        others.change_like(one, event, members[1:])
        if event is not None:
            events.append(event)
            moved += [uid for _key, uid in members]
    work.save()
    write_lines(events)
    others.save()
    return moved


class _Others:
    """What is to be written of agents that change like another one: a statement for all that get the same values."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[type[Model], dict[str, Any], list[int]]] = {}
        self._lines: dict[str, tuple[AgentEvent, _Members]] = {}

    def change_like(self, one: AssignedAgent, event: AgentEvent | None, members: _Members) -> None:
        """What has changed of ``one`` for these too, with a line like ``event``."""
        if not members:
            return
        keys = [key for key, _uid in members]
        for row in (one.agent, one.assignment):
            values = {name: getattr(row, name) for name in sorted(one.work.changes_of(row))}
            self._rows.setdefault(f"{type(row)} {values}", (type(row), values, []))[2].extend(keys)
        if event is not None:
            self._lines.setdefault(f"{event.kind} {event.data}", (event, []))[1].extend(members)

    def save(self) -> None:
        """Write it."""
        for model, values, keys in self._rows.values():
            bulk_set(model, sorted(keys), values)
        for event, members in self._lines.values():
            write_line_of_each(event, sorted(members))


def _chunks(keys: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(keys), _READ):
        yield keys[start : start + _READ]
