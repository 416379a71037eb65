"""One report on its way into the rows: how it came in, and what it was merged into.

Knows rows and reports; who reads and writes them is `recording`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings

from agents.credentials import AgentCredential, Denial
from agents.excess import Excess
from agents.models import Agent, AgentEvent, AgentPresence, ReportedDocument, ReportedState, Transport
from agents.reports import Json, StatusReport

# What agents do when nothing was offered to them, or the offer not taken.
DEFAULT_HEARTBEAT_SECONDS = 30
DEFAULT_INTERVAL = timedelta(seconds=DEFAULT_HEARTBEAT_SECONDS)


@dataclass(frozen=True, slots=True)
class Lease:
    """The connection an agent speaks through.

    ``id`` is unique per WebSocket, ``opened_at`` is when it was accepted. Plain HTTP has no connection: there ``id`` is
    empty, and the agent's stay, from first poll to silence, gets an id of its own in whichever process sees its first poll
    (S-110).
    """

    id: str
    process: str
    transport: Transport
    remote_address: str
    opened_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """One report as it came in.

    ``known_sequence_num`` is this process's memory of the last number, as of ``known_at``: fresher than the row while
    heartbeats wait in presence, staler when another process heard the agent since. ``None`` when the process does not
    know the agent. ``digest`` is of the message's bytes, signed 64 bits, 0 for unknown (S-46). ``claimed``: the agent was
    heard on this connection before; ``first_word``: nobody was. ``size`` is of the message's bytes, unpacked. ``credential``
    is the agent's own that let it in, ``None`` for the shared secret or an open door.
    """

    report: StatusReport
    lease: Lease
    known_sequence_num: int | None = None
    known_at: datetime | None = None
    digest: int = 0
    claimed: bool = False
    first_word: bool = False
    credential: AgentCredential | None = None
    size: int = 0

    @property
    def over_http(self) -> bool:
        """Without a connection: a reply may be lost, and nothing but a later request tells."""
        return self.lease.transport is Transport.HTTP


@dataclass(slots=True)
class Recorded:
    """One merged report and what the answer depends on. ``events`` are timeline lines still to be written.

    ``repeated``: the same bytes as the last recorded report (S-46). ``full_state_lost``: a full state was asked for, and
    that request or its answer is lost. ``displaced``: a newer connection has the agent, so nothing was merged (S-32).
    ``reassigned``: the uid given to this speaker, who is a duplicate; nothing was merged (S-31), and with
    ``connection_changed`` the agent went back to its former connection. ``poll_interval`` is the promise of an HTTP agent.
    ``known_maps``: the stored component map of each hash that the batch reports alone (S-99). ``denial``: the speaker may
    not speak for the agent, or is one too many, so nothing was merged and nothing may be written (S-117). ``documents`` are
    those the report brings, by its members' names. ``left_out``: members of the report that there is no room for, and
    whose room that is (``"agent"``, ``"fleet"``).
    """

    arrival: Arrival
    agent: Agent
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
    known_maps: Mapping[str, str] = field(default_factory=dict)
    documents: Mapping[str, ReportedDocument] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    gained_capabilities: int = 0
    relabelled: bool = False
    left: bool = False
    restarted: bool = False
    dirty: set[str] = field(default_factory=set)
    dirty_state: set[str] = field(default_factory=set)
    events: list[AgentEvent] = field(default_factory=list)

    def note(self, kind: AgentEvent.Kind, at: datetime, **data: Json) -> None:
        """Add a line to the agent's timeline."""
        self.events.append(AgentEvent(agent=self.agent, at=at, kind=kind, data=data))

    def let_go(self) -> None:
        """Nobody needs the rows any more.

        The agent knows the rows that belong to it, and they know the agent: only the garbage collector would find them,
        which comes seldom in a server process, and a batch makes hundreds.
        """
        self.agent._state.fields_cache.clear()  # noqa: SLF001  Django has no public name for it

    def change(self, name: str, value: object) -> bool:
        """Set a field of the agent's row if it differs; true when it did."""
        if getattr(self.agent, name) == value:
            return False
        setattr(self.agent, name, value)
        self.dirty.add(name)
        return True

    def change_state(self, name: str, value: object) -> bool:
        """The same for the wide row."""
        if getattr(self.state, name) == value:
            return False
        setattr(self.state, name, value)
        self.dirty_state.add(name)
        return True


def usual_interval() -> timedelta:
    """How often an HTTP agent polls of which nothing else is known: at its own pace, 30 s in all clients, or as is wanted."""
    return max(timedelta(seconds=settings.OPAMP_HEARTBEAT_SECONDS), DEFAULT_INTERVAL)


def http_expiry(at: datetime, interval: timedelta) -> datetime:
    """When an HTTP agent that stays silent from ``at`` counts as disconnected: three promised intervals."""
    return at + 3 * interval


def claimed_fields(lease: Lease, at: datetime) -> dict[str, Any]:
    """What the row of an agent says that speaks through ``lease`` since ``at``."""
    return {
        "lease_id": lease.id or f"http-{uuid4().hex}",
        "lease_process": lease.process if lease.id else "",
        "lease_opened_at": lease.opened_at or at,
        "transport": lease.transport.value,
        "remote_address": lease.remote_address,
        "connected": True,
        "connected_at": at,
        "disconnected_at": None,
    }
