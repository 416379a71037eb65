"""What kinds of offers that are rolled out have in common: how far their agents are, and releases that grow and end.

`rollouts.subjects.Subject` says what a kind has to answer; each brings its rows, and takes the answers from here.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from agents.models import Agent, AgentQuerySet, Approval
from rollouts.audiences import Audience, stored
from rollouts.gates import Counts
from rollouts.models import Release, Rollout
from rollouts.services.freezing import current_freezes, held_among
from rollouts.subjects import Member, MemberState, counts_of

_CHUNK = 2_000
_COLUMNS = ("pk", "instance_uid", "labels", "name", "hostname", "connected", "healthy", "approval")


class Progress(enum.Enum):
    """How far an agent is with a version, in the words that all kinds share."""

    INCAPABLE = "incapable"
    FAILED = "failed"
    WAITING = "waiting"
    APPLIED = "applied"


@dataclass(frozen=True, slots=True)
class Standing:
    """How one agent stands to the version that it should have.

    ``unsent``: it was not offered yet, so a freeze may hold it back. ``reached``: it got it at some time, so one that is
    away may be so because of it. ``error`` is that of a failure.
    """

    progress: Progress
    unsent: bool
    reached: bool
    error: str = ""

    def state(self, *, connected: bool, healthy: bool | None) -> MemberState:
        """What it counts as at gates; whether it is held is another question."""
        if self.progress is Progress.INCAPABLE:
            return MemberState.INCAPABLE
        if self.progress is Progress.FAILED:
            return MemberState.FAILED
        if not connected:
            return MemberState.LOST if self.reached else MemberState.OFFLINE
        if self.progress is Progress.WAITING:
            return MemberState.WAITING
        return MemberState.UNHEALTHY if healthy is False else MemberState.APPLIED


# Of a row of agents, with the columns a kind asked for; None for an agent that has not got to the version.
FindStanding = Callable[[Mapping[str, Any]], Standing | None]


def members_among(
    concerned: Iterable[QuerySet[Agent]], find: FindStanding, at: datetime, *columns: str, **expressions: Any
) -> Iterator[Member]:
    """Each agent of these sets, which may overlap, once. ``find`` gets ``columns`` and ``expressions`` beside the agent's own."""
    freezes = current_freezes()
    seen: set[int] = set()
    for agents in concerned:
        for row in agents.values(*_COLUMNS, *columns, **expressions).iterator(chunk_size=_CHUNK):
            if row["pk"] in seen:
                continue
            seen.add(row["pk"])
            state, standing = MemberState.TO_COME, find(row)
            if standing is not None:
                state = standing.state(connected=row["connected"], healthy=row["healthy"])
                if state is MemberState.WAITING and standing.unsent:
                    agent = Agent(pk=row["pk"], instance_uid=row["instance_uid"], labels=row["labels"])
                    held = row["approval"] != Approval.APPROVED or freezes.holding(agent, at) is not None
                    state = MemberState.HELD if held else state
            yield Member(
                agent_id=row["pk"],
                instance_uid=row["instance_uid"],
                labels=row["labels"],
                name=row["name"],
                hostname=row["hostname"],
                connected=row["connected"],
                state=state,
                error=standing.error if standing is not None and state is MemberState.FAILED else "",
            )


def counts_among(groups: Iterable[tuple[Standing, Mapping[str, Any]]], unsent: AgentQuerySet, at: datetime) -> Counts:
    """Of groups of agents that stand alike, each with ``connected``, ``healthy`` and ``number`` in its row.

    ``unsent`` are the connected agents that were not offered it yet; they are asked only when somebody waits.
    """
    found = Counter[MemberState | None]()
    for standing, row in groups:
        found[standing.state(connected=row["connected"], healthy=row["healthy"])] += row["number"]
    return counts_of(found, held=held_among(unsent, at) if found[MemberState.WAITING] else 0)


def widen_release(rollout: Rollout, *, to: Audience) -> Audience:
    """Give its release, which is live, a larger audience; returns the former one. Nobody is matched yet."""
    released = _live(rollout)
    former = released.parsed_audience()
    released.audience = stored(to)
    released.save(update_fields=["audience"])
    return former


def end_release(rollout: Rollout, *, at: datetime) -> Audience:
    """End its release, which is live; returns whose it was. Nobody is matched yet."""
    released = _live(rollout)
    Release.objects.filter(pk=released.pk).end(at)
    return released.parsed_audience()


def _live(rollout: Rollout) -> Release:
    released = rollout.release
    assert released is not None  # noqa: S101  asked of a live one
    return released
