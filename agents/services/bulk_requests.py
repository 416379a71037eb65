"""Work on many agents at one request: bounded, in chunks that are a transaction each, with an outcome to report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from foundation.messages import Message

# What one request may touch. More would outlast the patience of clients and proxies.
MOST = 10_000
# Large enough for bulk statements, short enough not to keep agents' own reports waiting for row locks.
CHUNK = 500
_SAMPLE = 100


@dataclass(slots=True)
class BulkOutcome:
    """How many agents were ``asked`` and how many ``skipped``; ``sample`` says why, for the first 100 of these."""

    asked: int = 0
    skipped: int = 0
    sample: list[tuple[UUID, Message]] = field(default_factory=list)

    def skip(self, instance_uid: UUID, reason: Message) -> None:
        """Count one agent that nothing was done for."""
        self.skipped += 1
        if len(self.sample) < _SAMPLE:
            self.sample.append((instance_uid, reason))


def chunks(agent_ids: Sequence[int]) -> Iterator[list[int]]:
    """The primary keys, `CHUNK` at a time, in an order that keeps two requests from locking each other out."""
    keys = sorted(agent_ids)
    for start in range(0, len(keys), CHUNK):
        yield keys[start : start + CHUNK]
