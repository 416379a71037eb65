"""Last-seen times and sequence numbers that heartbeats leave in memory, written in batches.

The newest value is read from the link when the batch is made, so one agent costs one row however often it talked.
"""

from __future__ import annotations

from agents.services.leases import Sighting
from opamp_transport.registry import Link


class Presence:
    """The links heard since the last batch."""

    def __init__(self) -> None:
        self._heard: set[Link] = set()

    def note(self, link: Link) -> None:
        """``link`` was heard; its own fields say when and with which number."""
        self._heard.add(link)

    def take(self) -> list[Sighting]:
        """The batch to write now; forgets it.

        A report recorded between taking and writing may leave an older number in the row. The next batch mends it, and
        until then memory, which is asked first, is right.
        """
        heard, self._heard = self._heard, set()
        return [
            Sighting(
                agent_id=link.agent_id,
                last_seen_at=link.seen_at,
                sequence_num=link.sequence_num,
                is_http=link.connection is None,
            )
            for link in heard
        ]

    def give_back(self, links: set[Link]) -> None:
        """A batch could not be written: its links are heard again, with what they know by then."""
        self._heard |= links

    @property
    def heard(self) -> set[Link]:
        """The links waiting for the next batch (a copy)."""
        return set(self._heard)
