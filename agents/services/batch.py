"""One batch: the agents it is about, all rows it works on, and what is offered to them. One transaction, each row written once.

`recording` fills it with reports, `opamp_transport.batch` decides the replies. It knows neither configurations nor the wire:
kinds of offers come in through the registry (`agents.services.offers`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

from agents.credentials import Denial
from agents.excess import Excess
from agents.models import Agent, AgentEvent, AgentPresence, Approval, ReportedDocument, ReportedState
from agents.replies import OpampSettings
from agents.reply_parts import Known
from agents.reports import Json
from agents.services.arrivals import DEFAULT_INTERVAL, Arrival
from agents.services.offers import Offer, registered_offers
from foundation.unit_of_work import UnitOfWork

T = TypeVar("T")


@dataclass(slots=True)
class BatchAgent:
    """An agent that the batch is about. ``events`` are timeline lines still to be written; ``reached_at`` as in `Lease`."""

    work: UnitOfWork
    agent: Agent
    events: list[AgentEvent] = field(default_factory=list)
    reached_at: str = ""

    def change(self, name: str, value: object) -> bool:
        """Set a field of the agent's row if it differs; true when it did."""
        return self.work.change(self.agent, name, value)

    def changed(self, *names: str) -> bool:
        """Whether any of these fields of the agent's row was changed by this batch."""
        return not self.work.changes_of(self.agent).isdisjoint(names)

    def tell(self, kind: AgentEvent.Kind, **data: Json) -> None:
        """Add a line to the agent's timeline."""
        self.events.append(AgentEvent(agent=self.agent, at=self.work.at, kind=kind, data=data))

    def known(self) -> Known:
        """What the rules of `agents.reply_parts` need to know of it."""
        return Known(None, self.agent.capabilities)


@dataclass(slots=True, kw_only=True)
class ReportingAgent(BatchAgent):
    """An agent with the report it sent, and what the answer depends on.

    ``repeated``: the same bytes as the last recorded report (S-46). ``full_state_lost``: a full state was asked for, and
    that request or its answer is lost. ``displaced``: a newer connection has the agent, so nothing was merged (S-32).
    ``reassigned``: the uid given to this speaker, who is a duplicate; nothing was merged (S-31), and with
    ``connection_changed`` the agent went back to its former connection. ``poll_interval`` is the promise of an HTTP agent.
    ``components_asked`` as in `Known`. ``known_maps``: the stored component map of each hash that the batch reports alone
    (S-99). ``denial``: the speaker may not speak for the agent, or is one too many, so nothing was merged and nothing may be
    written (S-117). ``documents`` are those the report brings, by its members' names. ``left_out``: members of the report
    that there is no room for, and whose room that is (``"agent"``, ``"fleet"``).
    """

    arrival: Arrival
    state: ReportedState
    presence: AgentPresence
    is_new: bool
    previous_sequence_num: int | None
    first_on_connection: bool
    full_state_outstanding: bool
    full_state_lost: bool = False
    repeated: bool = False
    displaced: bool = False
    reassigned: UUID | None = None
    denial: Denial | Excess | None = None
    connection_changed: bool = False
    poll_interval: timedelta = DEFAULT_INTERVAL
    components_known: bool = False
    components_asked: bool = True
    known_maps: Mapping[str, str] = field(default_factory=dict)
    documents: Mapping[str, ReportedDocument] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    gained_capabilities: int = 0
    relabelled: bool = False
    left: bool = False
    restarted: bool = False

    @property
    def speaks(self) -> bool:
        """False for a connection that has not got the agent: what it says was not merged."""
        return not self.displaced and self.reassigned is None

    def change_state(self, name: str, value: object) -> bool:
        """Set a field of the wide row if it differs; true when it did."""
        return self.work.change(self.state, name, value)

    def state_changed(self, *names: str) -> bool:
        """Whether any of these fields of the wide row was changed by this batch."""
        return not self.work.changes_of(self.state).isdisjoint(names)

    def known(self) -> Known:
        """What the rules of `agents.reply_parts` need to know of it, after its report was merged."""
        return Known(
            sequence_num=self.previous_sequence_num,
            capabilities=self.agent.capabilities,
            full_state_outstanding=self.full_state_outstanding,
            full_state_lost=self.full_state_lost,
            over_http=self.arrival.over_http,
            repeated=self.repeated,
            components_asked=self.components_asked,
        )


AnyAgent = TypeVar("AnyAgent", bound=BatchAgent)


class Batch(UnitOfWork, Generic[AnyAgent]):
    """The unit of work of one batch. ``agents`` are those whose rows are loaded and locked, denied ones left out.

    ``arrivals`` are the reports it was made for, none for a batch that nobody asked for. With ``locks_everything`` each
    kind of offer takes whatever lock it may need, whether the reports seem to need it or not.
    """

    def __init__(self, at: datetime, arrivals: Sequence[Arrival] = (), *, locks_everything: bool = False) -> None:
        super().__init__(at)
        self.arrivals = arrivals
        self.locks_everything = locks_everything
        self.agents: list[AnyAgent] = []
        self.offers: list[Offer] = [kind(self) for kind in registered_offers()]
        self._read: dict[Callable[[Batch[Any]], Any], Any] = {}

    @property
    def may_match(self) -> bool:
        """Whether an agent may have to be matched anew, as far as can be known before rows are read."""
        return self.locks_everything or any(
            arrival.report.agent_description is not None or arrival.known_sequence_num is None
            for arrival in self.arrivals
        )

    def lock_targets(self) -> None:
        """Take what offers must hold before agents are locked: one order for everybody."""
        for offer in self.offers:
            offer.lock()

    def load(self, agents: Iterable[AnyAgent]) -> None:
        """Go on with these agents, and read what offers have for them."""
        self.agents = list(agents)
        for offer in self.offers:
            offer.read()

    def offers_to(self, member: BatchAgent) -> Sequence[Offer]:
        """The kinds of offers to ask for this agent: none until it is approved, whatever there is for it."""
        return self.offers if member.agent.approval == Approval.APPROVED else ()

    def settings_of(self, member: ReportingAgent) -> OpampSettings | None:
        """The connection settings that this agent may be offered, as all kinds of offers want them; ``None`` for none."""
        offer = member.arrival.settings
        if offer is None:
            return None
        for kind in self.offers_to(member):
            offer = kind.settings_for(member, offer)
        return offer

    def once(self, read: Callable[[Batch[Any]], T]) -> T:
        """What ``read`` gives for this batch; called once, however many offers ask."""
        if read not in self._read:
            self._read[read] = read(self)
        found: T = self._read[read]
        return found

    def forget(self) -> None:
        """Nobody needs the rows any more.

        An agent knows the rows that belong to it, and they know the agent; offers and batch know each other. Only the
        garbage collector would find them, which comes seldom in a server process, and a batch makes hundreds.
        """
        for agent in self.agents:
            agent.agent._state.fields_cache.clear()  # noqa: SLF001  Django has no public name for it
        self.agents, self.offers = [], []
        self._read.clear()
