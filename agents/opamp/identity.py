"""The uid that an agent shall take (S-30): told once on each connection until it uses it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from agents.replies import Reply
from agents.reply_parts import NewUidPart
from agents.services import identity
from agents.services.batch import BatchAgent
from agents.services.offers import Offer


class NewUidOffer(Offer):
    """A uid that was assigned, by a person or because the agent asked for one."""

    def part(self, agent: BatchAgent) -> NewUidPart | None:
        """The row holds both: the uid, and on which connection it was told."""
        row = agent.agent
        if row.next_instance_uid is None:
            return None
        return NewUidPart(row.next_instance_uid, told=row.next_uid_lease == row.lease_id)

    def note_sent(self, agent: BatchAgent, reply: Reply) -> None:
        """On this connection it is told now."""
        if reply.new_instance_uid is not None:
            agent.change("next_uid_lease", agent.agent.lease_id)

    @classmethod
    def pending_since(cls, at: datetime) -> Iterable[UUID]:
        """Agents not told on their present connection."""
        return identity.untold_uids()
