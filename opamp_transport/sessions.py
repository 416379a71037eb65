"""This process's memory of the agents that talk to it: an `AgentSession` for each, and the `Connection` it speaks through.

Only the event loop touches it, so it needs no lock. Losing it is safe: the rows hold what matters, and a sequence gap
makes the agent tell everything again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from uuid import UUID

from agents.credentials import Shown
from agents.models import Transport
from agents.replies import OpampSettings, Reply
from agents.services.arrivals import DEFAULT_INTERVAL, Lease
from foundation.clock import clock

Push = Callable[[Reply], Awaitable[bool]]
"""Sends one reply unasked; false when the peer is gone, too slow, or the reply above the size limit."""

CloseConnection = Callable[[], Awaitable[None]]
"""Closes the connection in order, because the server stops. Raises what a lost connection raises."""

RejectConnection = Callable[[Reply], Awaitable[None]]
"""Sends a last reply and closes the connection, because its agent may not connect."""


class Connection:
    """One live WebSocket. Several agents may share it (S-33); ``lease.id`` is unique to it.

    ``settings_offer`` is what is offered to its agents. ``reassigned`` holds the uids that belong to another agent, and what
    to use instead (S-31). ``credential`` is the agent's own that opened it, if one did.
    """

    __slots__ = (
        "claimed",
        "close",
        "credential",
        "lease",
        "number",
        "push",
        "reassigned",
        "reject",
        "sessions",
        "settings_offer",
    )
    _numbers = itertools.count()

    def __init__(
        self,
        lease: Lease,
        push: Push,
        close: CloseConnection,
        reject: RejectConnection,
        settings_offer: OpampSettings | None = None,
        credential: Shown | None = None,
    ) -> None:
        self.number = next(self._numbers)
        self.lease = lease
        self.push = push
        self.close = close
        self.reject = reject
        self.settings_offer = settings_offer
        self.credential = credential
        self.reassigned: dict[UUID, UUID] = {}
        # True once any agent was seen on it: then the lease must be released at the end.
        self.claimed = False
        # By the 16 bytes of the uid, as messages bring it.
        self.sessions: dict[bytes, AgentSession] = {}

    def opened_after(self, other: Connection) -> bool:
        """True when this one was accepted later than ``other``, whatever the clock did meanwhile."""
        return self.number > other.number

    def serves_others(self, session: AgentSession) -> bool:
        """True when further agents speak through it, so that closing it for one of them would hit them all."""
        return any(other is not session and other.known for other in self.sessions.values())


class AgentSession:
    """What is remembered of one agent: enough to answer a heartbeat without the database.

    ``connection`` is ``None`` for plain HTTP. ``due``: its next message must reach the rows. ``seen`` is the last word's
    `time.monotonic` in seconds, 0 before the first; so are ``deadline``, when a polling agent counts as gone, and
    ``look_again``, when something unanswered is due once more: no jump of a clock reaches them. ``pushing``: an unasked
    message has not left yet, and ``woken_meanwhile``: what came up since must be looked at when it has. ``reports_due`` is
    for `limits.paced`. ``told_capabilities`` are our custom capabilities as the agent knows them (S-93). ``credential`` is
    what the agent was admitted by over HTTP.
    """

    __slots__ = (
        "ack",
        "agent_id",
        "capabilities",
        "connection",
        "credential",
        "deadline",
        "due",
        "look_again",
        "poll_interval",
        "pushing",
        "reports_due",
        "seen",
        "sequence_num",
        "told_capabilities",
        "uid",
        "woken_meanwhile",
    )

    def __init__(self, uid: UUID, connection: Connection | None) -> None:
        self.uid = uid
        self.connection = connection
        self.agent_id = 0
        self.sequence_num = -1
        self.capabilities = 0
        self.ack = b""
        self.due = False
        self.pushing = False
        self.woken_meanwhile = False
        self.reports_due = 0.0
        self.seen = 0.0
        self.deadline = 0.0
        self.look_again = math.inf
        self.poll_interval = DEFAULT_INTERVAL
        self.told_capabilities: tuple[str, ...] = ()
        self.credential: Shown | None = None

    def inherit(self, former: AgentSession | None) -> None:
        """Continue the sequence of the agent's former session, whose last number is not in the row yet."""
        if former is not None:
            self.sequence_num, self.seen = former.sequence_num, former.seen

    @property
    def known(self) -> bool:
        """True once a report of the agent was recorded through this session."""
        return self.agent_id != 0

    @property
    def seen_at(self) -> datetime:
        """`seen` as a UTC time."""
        return clock.at(self.seen)

    @property
    def transport(self) -> Transport:
        """How the agent talks."""
        return Transport.HTTP if self.connection is None else Transport.WEBSOCKET


class Sessions:
    """All sessions of this process."""

    def __init__(self) -> None:
        self.by_uid: dict[UUID, AgentSession] = {}
        self.connections: set[Connection] = set()

    def open(self, connection: Connection) -> None:
        """A WebSocket was accepted."""
        self.connections.add(connection)

    def attach(self, session: AgentSession) -> None:
        """Make ``session`` the way to its agent; an older connection's session stays with that connection, unused for pushes."""
        self.by_uid[session.uid] = session
        if session.connection is not None:
            session.connection.sessions[session.uid.bytes] = session

    def attach_newest(self, session: AgentSession) -> None:
        """The same, unless the agent has a connection here that was opened later (S-32)."""
        known = self.by_uid.get(session.uid)
        connection = known.connection if known is not None else None
        if connection is not None and session.connection is not None and connection.opened_after(session.connection):
            session.connection.sessions[session.uid.bytes] = session
        else:
            self.attach(session)

    def detach(self, session: AgentSession) -> None:
        """Forget one agent, only if the entry still is this session (S-34)."""
        if self.by_uid.get(session.uid) is session:
            del self.by_uid[session.uid]
        if session.connection is not None:
            session.connection.sessions.pop(session.uid.bytes, None)

    def take_back(self, session: AgentSession, former: AgentSession | None) -> None:
        """``session`` may not speak for its agent: forget it, and make ``former`` the way to the agent again (S-117)."""
        was_newest = self.by_uid.get(session.uid) is session
        self.detach(session)
        if former is None or former is session or not was_newest:
            return
        if former.connection is None or former.connection in self.connections:
            self.attach(former)

    def close(self, connection: Connection) -> None:
        """Forget a connection with all its agents (S-34)."""
        self.connections.discard(connection)
        for session in list(connection.sessions.values()):
            self.detach(session)

    def find(self, instance_uid: bytes) -> AgentSession | None:
        """The way to the agent with these 16 bytes."""
        return self.by_uid.get(UUID(bytes=instance_uid))

    def holds(self, session: AgentSession) -> bool:
        """True while ``session`` is the way to its agent."""
        return self.by_uid.get(session.uid) is session

    def overdue(self, now: float) -> Iterator[AgentSession]:
        """HTTP sessions whose agents have been silent for long."""
        return (
            session for session in list(self.by_uid.values()) if session.connection is None and session.deadline < now
        )
