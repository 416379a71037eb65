"""Where apps above this one say which of their things use variables and secrets. Filled in ``AppConfig.ready``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from accounts.models import User
from foundation.errors import DomainError
from rollouts.models import Rollout
from rollouts.policies import Policy
from rollouts.progress import PlannedStage


@dataclass(frozen=True, slots=True)
class Former:
    """What one name stood for: of a variable all its rows as `variables.models.ValueVersion` has them, of a secret its value."""

    choices: tuple[Mapping[str, Any], ...] = ()
    encrypted: str = ""


@dataclass(frozen=True, slots=True)
class ValueChange:
    """``former``: what each use that may have changed stood for before, ``vars.name`` or ``secrets.name``.

    ``changed`` are those that stand for something else now. ``replace``: rollouts that are in the way are ended.
    """

    former: Mapping[str, Former]
    changed: frozenset[str]
    by: User | None
    at: datetime
    replace: bool = False


@dataclass(frozen=True, slots=True)
class PlannedRollout:
    """What a change starts: a rollout by ``policy`` that concerns ``agents``, in these stages; ``rollout`` once it is there."""

    policy: Policy
    agents: int
    stages: Sequence[PlannedStage]
    rollout: Rollout | None = None


@dataclass(frozen=True, slots=True)
class Rerendering:
    """What a change does to one thing of this ``name``: of its ``agents`` some ``change``; for some there is no result then.

    At once, or with ``planned`` in stages. ``obstacle``: why it is refused unless rollouts are to be replaced.
    """

    name: str
    agents: int
    changes: int
    failures: int
    planned: PlannedRollout | None = None
    obstacle: DomainError | None = None


class Consumer(Protocol):
    """Something whose texts are rendered with variables and secrets. A use is written ``vars.name`` or ``secrets.name``."""

    def hold(self) -> None:
        """Take the locks of a change, at the beginning of its transaction."""

    def users(self, uses: Collection[str]) -> dict[str, list[str]]:
        """For each of ``uses`` the names of what is in force and has it, sorted."""

    def preview(self, change: ValueChange) -> Sequence[Rerendering]:
        """What the values that this transaction sees would do to each user; writes nothing."""

    def release(self, change: ValueChange, effects: Sequence[Rerendering]) -> Sequence[Rerendering]:
        """Carry out what `preview` said, at once or as rollouts, which the result has. Raises an obstacle that is not replaced."""

    def render_anew(self, use: str, at: datetime) -> int:
        """Have agents run what the users' texts make of the values at hand; returns how many change."""


_consumers: list[Consumer] = []


def register_consumer(consumer: Consumer) -> None:
    """Have ``consumer`` asked and told; once for each."""
    if consumer not in _consumers:
        _consumers.append(consumer)


def consumers() -> tuple[Consumer, ...]:
    """All of them, in order of registration."""
    return tuple(_consumers)
