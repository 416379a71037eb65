"""What the peers of one process may use: events of an address, bytes kept for all of them, lines in the log.

Bounded memory of this process alone, no longer right after a restart, which harms nobody. The clock comes in as an
argument (seconds, `time.monotonic`); nothing here knows sockets, HTTP or OpAMP.
"""

from __future__ import annotations

import math
from collections import OrderedDict

from django.conf import settings

from foundation.addresses import limit_key
from opamp_server.rates import TokenBucket

# A bucket holds what its rate gives in this time.
_BURST_SECONDS = 10.0
# What is only slowed down is still answered before its sender gives up (seconds).
_LONGEST_WAIT = 1.0
_MOST_ADDRESSES = 10_000
# Lines about refusals of any address: so many at once, then so many a second.
_LINES, _LINE_RATE = 100.0, 10.0


def paced(due_at: float, rate: float, now: float) -> tuple[float, float]:
    """Seconds that an event at ``now`` must wait to keep to ``rate`` a second, and ``due_at`` for the next one.

    A bucket in one number, for things of which there are thousands: 0 to begin with, then what was returned. Nobody waits
    longer than `_LONGEST_WAIT`. A rate of 0 never waits.
    """
    if rate <= 0:
        return 0.0, due_at
    due_at = min(max(due_at, now) + 1 / rate, now + _BURST_SECONDS + _LONGEST_WAIT)
    return max(0.0, due_at - now - _BURST_SECONDS), due_at


class AddressLimit:
    """``rate`` events a second of one address, 0 for any number; short storms (of ``burst`` events) are let through.

    Remembers the addresses heard last; one that was forgotten starts with a full bucket.
    """

    def __init__(self, rate: float, *, burst: float = 0.0) -> None:
        self.rate = rate
        self._burst = burst or max(1.0, rate * _BURST_SECONDS)
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, address: str, now: float) -> float:
        """0 when the event is within the limit, else the seconds to wait."""
        if self.rate <= 0:
            return 0.0
        key = limit_key(address)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(self._burst, now)
            if len(self._buckets) > _MOST_ADDRESSES:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket.take(self.rate, self._burst, now)

    def __len__(self) -> int:
        return len(self._buckets)


class Budget:
    """Bytes that peers make this process keep at the moment, against a limit."""

    def __init__(self) -> None:
        self.held = 0

    @property
    def limit(self) -> int:
        """Bytes; room for two messages at least, or one large one would shut everybody else out."""
        return max(int(settings.OPAMP_INBOUND_MEMORY), 2 * int(settings.OPAMP_MAX_MESSAGE_SIZE))

    def change(self, delta: int) -> bool:
        """Account for ``delta`` bytes more or less; false when that is more than there is room for."""
        self.held += delta
        return delta <= 0 or self.held <= self.limit


INBOUND = Budget()


class Complaints:
    """Which refusals are worth a log line: the first of an address and reason, then one a minute with how many it was.

    Counters tell the rest; hostile peers must not fill the disk.
    """

    def __init__(self, *, seconds: float = 60.0, most: int = 1_000) -> None:
        self._seconds = seconds
        self._most = most
        self._noted: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()
        self._line_bucket = TokenBucket(_LINES, 0.0)

    def worth_a_line(self, reason: str, address: str, now: float) -> int:
        """How many refusals a line written now stands for, this one included; 0 when none is due."""
        key = (reason, limit_key(address))
        since, count = self._noted.get(key, (-math.inf, 0))
        count += 1
        due = now - since >= self._seconds and not self._line_bucket.take(_LINE_RATE, _LINES, now)
        self._noted[key] = (now, 0) if due else (since, count)
        self._noted.move_to_end(key)
        if len(self._noted) > self._most:
            self._noted.popitem(last=False)
        return count if due else 0

    def __len__(self) -> int:
        return len(self._noted)
