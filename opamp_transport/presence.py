"""Last-seen times and sequence numbers that heartbeats leave in memory, written in batches.

The newest value is read from the session when the batch is made, so one agent costs one row however often it talked.
"""

from __future__ import annotations

from uuid import UUID

from agents.services.leases import Sighting
from opamp_transport.sessions import AgentSession


class Presence:
    """The sessions heard since the last batch, and those whose batch is being written."""

    def __init__(self) -> None:
        self._heard: dict[UUID, AgentSession] = {}
        self._writing: dict[UUID, AgentSession] = {}

    def note(self, session: AgentSession) -> None:
        """``session`` was heard; its own fields say when and with which number."""
        self._heard[session.uid] = session

    def recall(self, uid: UUID) -> AgentSession | None:
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
                agent_id=session.agent_id,
                last_seen_at=session.seen_at,
                sequence_num=session.sequence_num,
                lease_id=session.connection.lease.id if session.connection is not None else "",
                poll_interval=session.poll_interval,
            )
            for session in self._writing.values()
            if session.agent_id
        ]

    def note_written(self, displaced: frozenset[int]) -> None:
        """The batch is in the rows; the next word of ``displaced`` agents (primary keys) must reach them too."""
        for session in self._writing.values():
            if session.agent_id in displaced:
                session.due = True
        self._writing = {}

    def give_back(self) -> None:
        """The batch could not be written: its sessions wait for the next one, behind what was heard meanwhile."""
        self._heard = {**self._writing, **self._heard}
        self._writing = {}
