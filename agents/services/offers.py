"""What the server may tell agents, kind by kind: the interface, and the registry that apps fill in ``AppConfig.ready``.

A kind of offer is a class in its app's module ``opamp``; an instance of it serves one batch. The pipeline
(`opamp_transport.batch`), the look for missed changes and REST's table of errors go through the registry, in the order of
registration, and know no kind by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from agents.replies import SERVER_CAPABILITIES, OpampSettings, Reply, ServerCapabilities
from agents.reply_parts import Part

if TYPE_CHECKING:
    from agents.models import AgentQuerySet
    from agents.services.batch import Batch, BatchAgent, ReportingAgent

# Agents that one look for missed changes takes from one kind of offer.
MOST_PENDING = 5_000


class LockMissed(Exception):
    """An agent needs a lock that nobody expected when the batch began: it begins anew and takes all of them."""


class Offer(ABC):
    """One kind of thing that the server may tell an agent, for the agents of one ``batch``.

    Called in this order: `lock`, `read`, `note_reports`, then for each agent `part`, `note_sent`, `is_left`,
    `due_again_at`; `settings_for` from any of them after `note_reports`. What it changes it changes through the batch, which
    writes it. ``errors`` are those of the database, or of a library, that its services let through, with the status that REST
    answers; a `DomainError` says it itself.
    """

    errors: ClassVar[Mapping[type[Exception], HTTPStatus]] = {}

    @classmethod
    def capabilities(cls) -> ServerCapabilities:
        """The bits that advertise it to agents: only while it is really offered."""
        return ServerCapabilities(0)

    def __init__(self, batch: Batch[Any]) -> None:
        self.batch = batch

    def lock(self) -> None:
        """Take what must be locked before agents are; nothing is read yet but ``batch.arrivals``."""

    def read(self) -> None:
        """Read what there is for ``batch.agents``, whose rows are locked, in a statement or two for all of them."""

    def note_reports(self) -> None:
        """Work in what the agents have just said; their reports are merged. Raises `LockMissed`."""

    def settings_for(self, agent: ReportingAgent, offer: OpampSettings) -> OpampSettings:
        """The connection settings to offer to this agent instead of ``offer``, which leads it back the way it came.

        Called by `Batch.settings_of` for whatever kind of offer brings some, so that all bring the same, with one hash (S-78).
        """
        return offer

    @abstractmethod
    def part(self, agent: BatchAgent) -> Part | None:
        """What is wanted of this agent now, ``None`` for nothing; whether to say so is decided by the part."""

    def note_sent(self, agent: BatchAgent, reply: Reply) -> None:
        """Remember what of this kind ``reply`` carries, if anything."""

    def is_left(self, agent: BatchAgent, reply: Reply) -> bool:
        """True when something had to stay behind that the agent's next message should bring up again."""
        return False

    def due_again_at(self, agent: BatchAgent) -> datetime | None:
        """When something unanswered should go out once more to an agent that polls, whose replies may be lost."""
        return None

    @classmethod
    def pending_since(cls, at: datetime) -> Iterable[UUID]:
        """Connected agents for whom something came up since ``at`` and has not gone out, at most `MOST_PENDING`.

        Processes look there now and then, in case a wake-up was lost.
        """
        return ()

    @classmethod
    def pending_among(cls, agents: AgentQuerySet) -> Iterable[UUID]:
        """Of these the connected agents for whom something has not gone out, whenever it came up.

        Asked when what held it back is over.
        """
        return ()


_registered: list[type[Offer]] = []


def register_offer(kind: type[Offer]) -> None:
    """Have every batch ask ``kind`` too; a second registration changes nothing."""
    if kind not in _registered:
        _registered.append(kind)


def registered_offers() -> tuple[type[Offer], ...]:
    """All kinds of offers, in the order of their registration."""
    return tuple(_registered)


def pending_since(at: datetime) -> list[UUID]:
    """Connected agents for whom any kind of offer has something pending since ``at``."""
    return [uid for kind in _registered for uid in kind.pending_since(at)]


def pending_among(agents: AgentQuerySet) -> set[UUID]:
    """Of these the connected agents for whom any kind of offer has something pending."""
    return {uid for kind in _registered for uid in kind.pending_among(agents)}


def server_capabilities() -> int:
    """What this server can do for agents, as bits of ``ServerToAgent.capabilities`` (S-52)."""
    bits = SERVER_CAPABILITIES
    for kind in _registered:
        bits |= kind.capabilities()
    return int(bits)
