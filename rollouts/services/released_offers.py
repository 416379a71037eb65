"""Released versions as something the server offers: what `agents.services.offers.Offer` of any kind of them does alike."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from agents.models import Agent
from agents.services.batch import BatchAgent, ReportingAgent
from agents.services.offers import LockMissed, Offer
from foundation.clock import is_ahead
from rollouts.services.held_agents import HeldAgents
from rollouts.services.releasable import Releasable, ReleasedTargeting


class OfAgent(Protocol):
    """What one agent should have, while a batch works on it."""

    agent: Agent


Rows = TypeVar("Rows", bound=OfAgent)


class ReleasedOffer(Offer, Generic[Rows]):
    """``kind`` is what is released; of agents with none of the bits ``takes`` nothing is read, for most take none.

    A subclass says what rows are (`rows_of`), books reports, and makes parts. It begins `note_reports` with `match_relabelled`.
    """

    kind: ClassVar[Releasable[Any, Any]]
    takes: ClassVar[int]

    @abstractmethod
    def rows_of(self, agents: Sequence[Agent]) -> Iterable[Rows]:
        """The rows of these agents, in a statement or two for all of them; what changes is written by the batch."""

    def lock(self) -> None:
        """As configurations lock targeting: before agents, where one may have to be matched."""
        self._holds = self.batch.may_match
        if self._holds:
            self.kind.hold(exclusive=False)

    def read(self) -> None:
        """Rows of those who take any."""
        self.rows: dict[int, Rows] = {}
        self._held = HeldAgents(self.batch.at)
        self._load(member for member in self.batch.agents if member.agent.capabilities & self.takes)

    def match_relabelled(self) -> ReleasedTargeting[Any, Any] | None:
        """What is released, for the agents that are ``relabelled``, ``None`` where nobody is; their rows are in ``rows``.

        Raises `LockMissed` as configurations do.
        """
        reporting: Sequence[ReportingAgent] = self.batch.agents
        is_relabelled = any(member.relabelled for member in reporting)
        if is_relabelled and not self._holds:
            raise LockMissed
        targeting = self.kind.current() if is_relabelled else None
        released = targeting is not None and targeting.generation is not None
        # Whom something is to be decided for although they take none.
        self._load(member for member in reporting if member.changed("capabilities") or (released and member.relabelled))
        return targeting

    def is_held(self, agent: BatchAgent) -> bool:
        """Whether a freeze or a pause keeps back what is new for it."""
        return self._held.holds(agent.agent)

    def _load(self, members: Iterable[BatchAgent]) -> None:
        """Those of ``members`` that are not at hand."""
        missing = [member.agent for member in members if member.agent.pk not in self.rows]
        if missing:
            self.rows |= {each.agent.pk: each for each in self.rows_of(missing)}


def offer_again_at(offered_at: datetime | None, offer_count: int, *, first: timedelta, most: int) -> datetime | None:
    """When what was offered and not answered goes out again: ``first`` later, then with doubling pauses, ``most`` times in all."""
    if offered_at is None or offer_count >= most:
        return None
    pause: timedelta = first * 2 ** max(offer_count - 1, 0)
    return offered_at + pause


def is_due_again(again_at: datetime | None, offered_at: datetime | None, at: datetime) -> bool:
    """Whether that moment has come."""
    # An offer of the future went out before the clock was put back: how long ago cannot be known.
    return again_at is not None and (at >= again_at or is_ahead(offered_at, at))
