"""One benchmark agent each on a raw socket: over WebSocket, and polling over plain HTTP.

An agent knows how to say things and notes in the fleet's tally what it hears; *when* it speaks is the fleet's business.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol, cast
from uuid import UUID

from benchmarks import frames

_UPGRADE = (
    b"GET /v1/opamp HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: YmVuY2htYXJrIGRyaXZlcg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_POST = b"POST /v1/opamp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-protobuf\r\nContent-Length: "


@dataclass
class Tally:
    """What all agents of a driver heard since the last command; times are of the machine's monotonic clock, in seconds."""

    replies: int = 0
    latencies: array[float] = field(default_factory=lambda: array("d"))
    opened: array[float] = field(default_factory=lambda: array("d"))
    registered: array[float] = field(default_factory=lambda: array("d"))
    offered: array[float] = field(default_factory=lambda: array("d"))
    applied: array[float] = field(default_factory=lambda: array("d"))
    wrong: Counter[str] = field(default_factory=Counter)


class Fleet(Protocol):
    """What an agent needs of whoever drives it."""

    tally: Tally
    parses: bool
    reports_first: bool
    on_reply: Callable[[Agent], None] | None

    def lost(self, agent: Agent) -> None:
        """The connection is gone."""


class Agent(asyncio.Protocol):
    """What both transports share: identity, sequence, what a reply means. ``offers`` counts each hash it received."""

    def __init__(self, fleet: Fleet, number: int, uid: UUID) -> None:
        self.fleet = fleet
        self.number = number
        self.uid = uid
        self.head = frames.head(uid)
        self.full = frames.full_report(number, uid)
        self.health = b""
        self.sequence_num = -1
        self.transport: asyncio.Transport | None = None
        self.buffer = b""
        self.sent_at = 0.0
        self.ack = b""
        self.status = b""
        self.is_registered = False
        self.awaits_applied = False
        # From its decision to go until it comes back.
        self.leaves = False
        self.offers: Counter[bytes] = Counter()

    # --- Saying ------------------------------------------------------------------------------------------------------

    def say(self, rest: bytes) -> None:
        """Send the next message; its reply is timed. ``rest`` follows the sequence number."""
        self.sequence_num += 1
        self.sent_at = monotonic()
        self.send(self.head + frames.varint(self.sequence_num) + rest)

    def say_everything(self) -> None:
        """The full report, as after every connect; the last outcome goes with it."""
        self.say(self.full + self.status)

    def cut_off(self) -> None:
        """Go as if the cable had been pulled."""
        self.leaves = True
        if self.transport is not None:
            self.transport.abort()

    @property
    def is_settled(self) -> bool:
        """Registered on its connection, going to stay, and waiting for no answer."""
        return self.transport is not None and self.is_registered and not (self.sent_at or self.leaves)

    def send(self, body: bytes) -> None:
        """Put one message on the wire."""
        raise NotImplementedError

    # --- Hearing -----------------------------------------------------------------------------------------------------

    def hear(self, body: bytes) -> None:
        """A reply or an offer: note it, and answer an offer at once. Who leaves has nothing more to say."""
        if self.leaves:
            return
        fleet = self.fleet
        tally = fleet.tally
        tally.replies += 1
        now = monotonic()
        if self.sent_at:
            tally.latencies.append(now - self.sent_at)
            self.sent_at = 0.0
        if not self.is_registered:
            self.is_registered = True
            tally.registered.append(now)
        elif self.awaits_applied:
            self.awaits_applied = False
            tally.applied.append(now)
        if fleet.parses and body != self.ack and self._take(frames.read_reply(body), body, now):
            return
        if fleet.on_reply is not None:
            fleet.on_reply(self)

    def _take(self, said: frames.Said, body: bytes, now: float) -> bool:
        """React to what is no plain acknowledgement; true when a message went out for it."""
        if said.is_error:
            self.fleet.tally.wrong["error response"] += 1
        elif said.offer is not None:
            self.offers[said.offer.hash] += 1
            self.fleet.tally.offered.append(now)
            self.awaits_applied = True
            self.status = frames.applied_status(said.offer.hash)
            self.say(frames.applied(said.offer))
            return True
        elif said.wants_full_state:
            self.fleet.tally.wrong["full state requested"] += 1
            self.say_everything()
            return True
        else:
            self.ack = body
        return False

    # --- Connection --------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to talk."""
        # uvloop's transports do what asyncio's do without being of its classes.
        self.transport = cast("asyncio.Transport", transport)
        self.buffer = b""
        self.is_registered = False
        self.awaits_applied = False
        self.leaves = False
        self.ack = b""

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the fleet."""
        self.transport = None
        self.sent_at = 0.0
        self.fleet.lost(self)


class WebSocketAgent(Agent):
    """Upgrade, then frames."""

    is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        super().connection_made(transport)
        self.is_open = False
        self.transport.write(_UPGRADE)

    def send(self, body: bytes) -> None:
        """One binary frame with the OpAMP header."""
        if self.transport is not None:
            self.transport.write(frames.frame(b"\x00" + body))

    def say_goodbye(self) -> None:
        """Go in order: a last message, a close frame, and the server ends the connection."""
        self.leaves = True
        self.say(frames.GOODBYE)
        if self.transport is not None:
            self.transport.write(frames.frame(frames.NORMAL_CLOSURE, frames.CLOSE))

    def data_received(self, data: bytes) -> None:
        """Whole frames now, the rest with the next bytes."""
        if self.buffer:
            data = self.buffer + data
        if not self.is_open:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.buffer = data
                return
            if not data.startswith(b"HTTP/1.1 101"):
                self.fleet.tally.wrong[data[:12].decode("latin-1")] += 1
                self.transport.abort()
                return
            self.is_open = True
            self.fleet.tally.opened.append(monotonic())
            data = data[end + 4 :]
            if self.fleet.reports_first:
                self.say_everything()
        used = 0
        for opcode, payload, used in frames.frames(data):  # noqa: B007  the last one counts below
            if opcode == frames.BINARY:
                self.hear(payload[1:])
            elif opcode == frames.PING:
                self.transport.write(frames.frame(payload, frames.PONG))
            elif opcode == frames.CLOSE and not self.leaves:
                self.fleet.tally.wrong["close frame"] += 1
                self.transport.write(frames.frame(frames.NORMAL_CLOSURE, frames.CLOSE))
        self.buffer = data[used:]


class HttpAgent(Agent):
    """One kept connection, one POST at a time; messages due meanwhile wait for the answer."""

    def __init__(self, fleet: Fleet, number: int, uid: UUID) -> None:
        super().__init__(fleet, number, uid)
        self.is_waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tell everything with the first poll."""
        super().connection_made(transport)
        self.fleet.tally.opened.append(monotonic())
        self.is_waiting = False
        self.say_everything()

    def send(self, body: bytes) -> None:
        """One POST."""
        if self.transport is None:
            return
        if self.is_waiting:
            self.fleet.tally.wrong["poll before the answer"] += 1
            return
        self.is_waiting = True
        self.transport.write(b"%b%d\r\n\r\n%b" % (_POST, len(body), body))

    def data_received(self, data: bytes) -> None:
        """A whole answer, by its content length."""
        if self.buffer:
            data = self.buffer + data
        end = data.find(b"\r\n\r\n")
        found = data.find(b"content-length: ", 0, end) if end > 0 else -1
        size = int(data[found + 16 : data.find(b"\r\n", found)]) if found > 0 else 0
        if end < 0 or len(data) < end + 4 + size:
            self.buffer = data
            return
        self.buffer = b""
        self.is_waiting = False
        if data[9:12] == b"200":
            self.hear(data[end + 4 :])
        else:
            self.sent_at = 0.0
            self.fleet.tally.wrong[data[:12].decode("latin-1")] += 1
