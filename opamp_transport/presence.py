"""Last-seen times and sequence numbers that heartbeats leave in memory, written in batches.

The newest value is read from the link when the batch is made, so one agent costs one row however often it talked.
"""

from __future__ import annotations

from uuid import UUID

from agents.services.leases import Sighting
from opamp_transport.registry import Link


class Presence:
    """The links heard since the last batch, and those whose batch is being written."""

    def __init__(self) -> None:
        self._heard: dict[UUID, Link] = {}
        self._writing: dict[UUID, Link] = {}

    def note(self, link: Link) -> None:
        """``link`` was heard; its own fields say when and with which number."""
        self._heard[link.uid] = link

    def recall(self, uid: UUID) -> Link | None:
        """What is not in the row yet of an agent that comes back on a new connection (S-48)."""
        return self._heard.get(uid) or self._writing.get(uid)

    def take(self) -> list[Sighting]:
        """The batch to write now.

        A report recorded between taking and writing may leave an older number in the row. The next batch mends it, and
        until then memory, which is asked first, is right.
        """
        self._writing, self._heard = self._heard, {}
        return [
            Sighting(
                agent_id=link.agent_id,
                last_seen_at=link.seen_at,
                sequence_num=link.sequence_num,
                lease_id=link.connection.lease.id if link.connection is not None else "",
                poll_interval=link.poll_interval,
            )
            for link in self._writing.values()
            if link.agent_id
        ]

    def written(self, displaced: frozenset[int]) -> None:
        """The batch is in the rows; the next word of ``displaced`` agents (primary keys) must reach them too."""
        for link in self._writing.values():
            if link.agent_id in displaced:
                link.due = True
        self._writing = {}

    def give_back(self) -> None:
        """The batch could not be written: its links wait for the next one, behind what was heard meanwhile."""
        self._heard = {**self._writing, **self._heard}
        self._writing = {}
