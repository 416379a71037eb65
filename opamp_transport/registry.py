"""This process's memory of the agents that talk to it: instance_uid to link, and link to connection.

Only the event loop touches it, so it needs no lock. Losing it is safe: the rows hold what matters, and a sequence gap
makes the agent tell everything again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from uuid import UUID

from agents.models import Transport
from agents.services.recording import Lease
from opamp_transport.protocol.replies import Reply

Push = Callable[[Reply], Awaitable[bool]]
"""Sends one reply unasked; false when the peer is gone, too slow, or the reply above the size limit."""


class Connection:
    """One live WebSocket. Several agents may share it (S-33); ``lease.id`` is unique to it."""

    __slots__ = ("claimed", "lease", "links", "push")

    def __init__(self, lease: Lease, push: Push) -> None:
        self.lease = lease
        self.push = push
        # True once any agent was seen on it: then the lease must be released at the end.
        self.claimed = False
        self.links: dict[UUID, Link] = {}


class Link:
    """What is remembered of one agent: enough to answer a heartbeat without the database.

    ``connection`` is ``None`` for plain HTTP. ``due``: something waits for the agent's next poll. ``seen`` is Unix time
    in seconds; ``pushing``: an unasked message has not left yet, and ``rung_meanwhile``: what came up since must be looked
    at when it has; ``deadline`` (HTTP) is when the agent counts as gone. ``digest`` is of the last message's bytes (S-46).
    """

    __slots__ = (
        "ack",
        "agent_id",
        "capabilities",
        "connection",
        "deadline",
        "digest",
        "due",
        "pushing",
        "rung_meanwhile",
        "seen",
        "sequence_num",
        "uid",
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
        self.rung_meanwhile = False
        self.seen = 0.0
        self.deadline = 0.0
        self.digest = 0

    def inherit(self, former: Link | None) -> None:
        """Continue the sequence of the agent's former link, whose last number is not in the row yet."""
        if former is not None:
            self.sequence_num, self.seen = former.sequence_num, former.seen

    @property
    def known(self) -> bool:
        """True once a report of the agent was recorded through this link."""
        return self.agent_id != 0

    @property
    def seen_at(self) -> datetime:
        """`seen` as a UTC time."""
        return datetime.fromtimestamp(self.seen, tz=UTC)

    @property
    def transport(self) -> Transport:
        """How the agent talks."""
        return Transport.HTTP if self.connection is None else Transport.WEBSOCKET


class Registry:
    """All links of this process."""

    def __init__(self) -> None:
        self.links: dict[UUID, Link] = {}
        self.connections: set[Connection] = set()

    def open(self, connection: Connection) -> None:
        """A WebSocket was accepted."""
        self.connections.add(connection)

    def attach(self, link: Link) -> None:
        """Make ``link`` the way to its agent; an older connection's link stays with that connection, unused for pushes."""
        self.links[link.uid] = link
        if link.connection is not None:
            link.connection.links[link.uid] = link

    def detach(self, link: Link) -> None:
        """Forget one agent, only if the entry still is this link (S-34)."""
        if self.links.get(link.uid) is link:
            del self.links[link.uid]
        if link.connection is not None:
            link.connection.links.pop(link.uid, None)

    def close(self, connection: Connection) -> None:
        """Forget a connection with all its agents (S-34)."""
        self.connections.discard(connection)
        for link in list(connection.links.values()):
            self.detach(link)

    def overdue(self, now: float) -> Iterator[Link]:
        """HTTP links whose agents have been silent for long."""
        return (link for link in list(self.links.values()) if link.connection is None and link.deadline < now)
