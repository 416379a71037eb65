"""Two agents under one instance_uid (S-31), told apart from one agent that reconnects. Decisions only; rows are `recording`'s.

Cloned machines and bad generators give one uid to two agents. A reconnect looks alike for a moment: the old socket is
still open, or its last message arrives late. So the last connection wins, and a duplicate must show itself by
*alternating* speech: newer, former, newer, and so on. How much of it is needed:

* One return of the former connection, when its sequence numbers cannot belong to the client of the newer one: a client that
  reconnected goes on counting, so what it sent before lies between its last number there and its first number here.
* Otherwise two returns with the newer one speaking in between, the second `GRACE` after the newer one came: late
  messages are over by then. A client that was created anew starts at 0 again, so its numbers prove nothing.
* A newer connection that stays silent meanwhile proves nothing either. The former one then has the agent again, for what it
  says must not be lost, and the newer one is what may return.
* Over plain HTTP there is no connection; a series of numbers from one address stands for it. A client has one request
  under way, so at most one message of a series is late: each address must continue its own series again and again.

Agents behind one address that poll over HTTP cannot be told apart, and are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self

# Messages of a connection that was given up do not arrive later than this after its successor spoke.
GRACE = timedelta(seconds=10)
_RETURNS = 2
_TURNS = 3


@dataclass(frozen=True, slots=True)
class Rivalry:
    """What is remembered while a displaced connection may still speak.

    ``lease``, ``process``, ``transport``, ``address``, ``opened`` are of the displaced one, ``last`` its last sequence
    number; ``first`` is the number with which the other one took over, at ``since``; both times are ISO 8601. ``returns``
    counts how often the displaced one came back after the other had spoken, ``returned`` is true until the other speaks
    again, ``alone`` counts returns past `GRACE` since then, ``late`` when the last return was past it, ``foreign`` when
    its numbers were of another counter. ``expelled``: proven, and the displaced one is who must take another uid.
    """

    lease: str
    process: str
    transport: str
    address: str
    opened: str
    last: str
    first: str
    since: str
    returns: int = 0
    returned: bool = False
    late: bool = False
    foreign: bool = False
    alone: int = 0
    expelled: bool = False

    @classmethod
    def read(cls, stored: Mapping[str, Any] | None) -> Self | None:
        """The stored form back, ``None`` for another form or none."""
        return cls(**stored) if stored and "lease" in stored else None

    def stored(self) -> dict[str, Any]:
        """JSON; numbers of 64 bits as text."""
        return asdict(self)

    def after_return(self, sequence_num: int, at: datetime) -> Rivalry:
        """The displaced connection spoke again."""
        last, first = int(self.last), int(self.first)
        # Either way: when the clock was put back meanwhile, nobody should wait until it has made up for it.
        late = abs(at - datetime.fromisoformat(self.since)) >= GRACE
        return replace(
            self,
            returns=self.returns if self.returned else self.returns + 1,
            returned=True,
            late=late,
            alone=self.alone + late,
            foreign=self.foreign or (last < first and not last < sequence_num < first),
        )

    @property
    def proven(self) -> bool:
        """True when the other connection, now speaking, and the displaced one belong to two agents."""
        return self.returned and (self.foreign or (self.returns >= _RETURNS and self.late))

    @property
    def abandoned(self) -> bool:
        """True when the displaced one goes on speaking and the other does not: it is no late message any more."""
        return self.alone >= _RETURNS

    def after_owner(self) -> Rivalry:
        """The other connection spoke, and nothing is proven yet."""
        return replace(self, returned=False, alone=0)


@dataclass(frozen=True, slots=True)
class Series:
    """Sequence numbers from two HTTP addresses in turn.

    ``other`` is the address that is silent now and ``last`` its last number; ``newcomer`` is the one that came second;
    ``turns`` counts how often an address continued its own series although the other one spoke in between.
    """

    other: str
    last: str
    newcomer: str
    turns: int = 0

    @classmethod
    def read(cls, stored: Mapping[str, Any] | None) -> Self | None:
        """The stored form back, ``None`` for another form or none."""
        return cls(**stored) if stored and "newcomer" in stored else None

    def stored(self) -> dict[str, Any]:
        """JSON; numbers of 64 bits as text."""
        return asdict(self)

    def proven(self, address: str) -> bool:
        """True when ``address``, now speaking, is the second of two agents."""
        return self.turns >= _TURNS and address == self.newcomer


def next_series(
    series: Series | None, *, address: str, sequence_num: int, known_address: str, known_sequence_num: int
) -> Series | None:
    """What the series are after a message from ``address``, which may differ from ``known_address``, the last speaker's."""
    if address == known_address:
        return series
    if sequence_num == known_sequence_num + 1:
        return None  # one counter seen from two addresses: an agent that roams
    if series is not None and series.other == address and sequence_num == int(series.last) + 1:
        return replace(series, other=known_address, last=str(known_sequence_num), turns=series.turns + 1)
    return Series(other=known_address, last=str(known_sequence_num), newcomer=address)


# The stored state was told by the other agent: whoever speaks next under this uid must tell everything.
FOREIGN_STATE: dict[str, Any] = {"foreign_state": True}
