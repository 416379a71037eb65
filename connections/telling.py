"""The part of a reply that brings connection settings, and when they are due. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agents.replies import OpampSettings, Reply
from agents.reply_parts import Known
from agents.reports import StatusReport
from connections.further_settings import FurtherSettings


@dataclass(frozen=True, slots=True)
class WantedSettings:
    """What an agent has not been told, or has lost, beside what decides whether to say so now.

    ``offer`` has the hash of all that it should have (S-78); ``tells_opamp`` says whether its connection to this server is
    among the news, ``further`` are the other members. ``offered``: they were sent and wait for an answer; ``retry_due``: for
    so long that they are sent again.
    """

    offer: OpampSettings
    tells_opamp: bool
    further: FurtherSettings | None
    offered: bool
    retry_due: bool

    def add_to(self, reply: Reply, known: Known, report: StatusReport | None) -> Reply:
        """With the answer to a report; beside other settings for the agent, which have the same hash or one that covers this."""
        if report is None or not self.is_due(known):
            return reply
        told = reply.opamp_settings
        if told is None and self.tells_opamp:
            told = self.offer
        covering = (told or self.offer).settings_hash
        further = () if self.further is None else (replace(self.further, settings_hash=covering),)
        return replace(reply, opamp_settings=told, further=(*reply.further, *further))

    def is_due(self, known: Known) -> bool:
        """Once, and again where the reply was lost (S-62) or nobody answered for long."""
        return not self.offered or known.retried or self.retry_due
