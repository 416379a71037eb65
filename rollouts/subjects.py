"""Kinds of things that can be rolled out: the interface, and the registry that apps fill in ``AppConfig.ready``.

So rollouts decide when, and know nothing of what a configuration or a package is.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from accounts.models import User
from rollouts.audiences import Audience
from rollouts.gates import Counts
from rollouts.models import Release, Rollout


class MemberState(enum.Enum):
    """How one agent stands to a rollout; the words of `rollouts.gates.Counts`, and who has not got so far."""

    APPLIED = "applied"
    UNHEALTHY = "unhealthy"
    FAILED = "failed"
    WAITING = "waiting"
    LOST = "lost"
    OFFLINE = "offline"
    HELD = "held"
    INCAPABLE = "incapable"
    TO_COME = "to_come"


COUNTS = ("done", "pending", "offline", "failed", "incapable")
COUNTED_AS = {
    MemberState.APPLIED: "done",
    MemberState.UNHEALTHY: "done",
    MemberState.FAILED: "failed",
    MemberState.WAITING: "pending",
    MemberState.LOST: "offline",
    MemberState.OFFLINE: "offline",
    MemberState.HELD: "pending",
    MemberState.INCAPABLE: "incapable",
}
"""As which of the five counts of a stage an agent is counted; one to come is pending, or offline while it is away."""


def counts_of(found: Mapping[MemberState | None, int], *, held: int = 0) -> Counts:
    """So many agents in each state, as gates count them; ``held`` are those among the waiting who are held back."""
    number = {state: found.get(state, 0) for state in MemberState}
    return Counts(
        applied=number[MemberState.APPLIED] + number[MemberState.UNHEALTHY],
        unhealthy=number[MemberState.UNHEALTHY],
        failed=number[MemberState.FAILED],
        waiting=number[MemberState.WAITING] - held,
        lost=number[MemberState.LOST],
        offline=number[MemberState.OFFLINE],
        held=number[MemberState.HELD] + held,
        incapable=number[MemberState.INCAPABLE],
        to_come=number[MemberState.TO_COME],
    )


@dataclass(frozen=True, slots=True)
class Member:
    """One agent that the rollout concerns: who gets the new version, and who would lose the old one.

    ``state`` is ``None`` for one that has got to it and does not take part: another thing is stronger for it.
    """

    agent_id: int
    instance_uid: UUID
    labels: Mapping[str, str]
    name: str
    hostname: str
    connected: bool
    state: MemberState | None
    error: str


class Subject(Protocol):
    """One kind of thing that can be rolled out. All of it works in the caller's transaction."""

    @property
    def name(self) -> str:
        """What rollouts and releases call the kind."""

    def hold(self) -> None:
        """Keep everybody else from changing what agents should run, until the transaction ends; before any other lock."""

    def members(self, rollout: Rollout, at: datetime) -> Iterator[Member]:
        """All agents whom it concerns, in no order; at ``at`` some may be held by a freeze or a pause."""

    def counts(self, rollout: Rollout, at: datetime) -> Counts:
        """The agents that should run its version now, by how far they are."""

    def release(self, rollout: Rollout, *, to: Audience, by: User | None, at: datetime) -> Release:
        """Make its version what the audience should run."""

    def widen(self, rollout: Rollout, *, to: Audience, at: datetime) -> None:
        """Give the release, which is live, a larger audience."""

    def withdraw(self, rollout: Rollout, *, at: datetime) -> Sequence[UUID]:
        """End the release, so that each agent gets what it had before; returns those that had nothing and keep what they run."""

    def discard(self, rollout: Rollout, *, at: datetime) -> None:
        """The version will not be released: what was published before it is the newest again."""

    def page_of(self, rollout: Rollout) -> str:
        """The address of the admin page of the thing, empty when it is gone."""

    def described(self, rollout: Rollout) -> Mapping[str, Any]:
        """What the API says of the thing: JSON-ready, with ``configuration`` or another kind's word for its name."""


_registered: dict[str, Subject] = {}


def register_subject(subject: Subject) -> None:
    """Have rollouts of this kind be made; a second registration of the same name replaces the first."""
    _registered[subject.name] = subject


def subject_of(rollout: Rollout) -> Subject:
    """The kind of thing that ``rollout`` is of."""
    return _registered[rollout.subject]
