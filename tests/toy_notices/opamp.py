"""Notices as something the server offers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agents.models import Agent
from agents.replies import Reply
from agents.reply_parts import Known
from agents.reports import AgentCapabilities, StatusReport
from agents.services.batch import BatchAgent
from rollouts.services.released_offers import ReleasedOffer
from tests.toy_notices.releases import NOTICES, NoticeOfAgent, notices_of


@dataclass(frozen=True, slots=True)
class WantedNotice:
    """What to say, in the protocol's words; part and member of the reply in one."""

    text: str

    def add_to(self, reply: Reply, known: Known, report: StatusReport | None) -> Reply:
        """Whenever it is wanted."""
        return replace(reply, further=(*reply.further, self))

    def fields(self) -> dict[str, Any]:
        """A custom message."""
        return {"custom_message": {"capability": "example.notices", "data": self.text.encode()}}


class NoticeOffer(ReleasedOffer[NoticeOfAgent]):
    """Told once."""

    kind, takes = NOTICES, AgentCapabilities.REPORTS_STATUS

    def rows_of(self, agents: Sequence[Agent]) -> Iterable[NoticeOfAgent]:
        return notices_of(agents, self.batch)

    def note_reports(self) -> None:
        targeting = self.match_relabelled()
        for member in self.batch.agents:
            if member.relabelled and targeting is not None and member.agent.pk in self.rows:
                wanted = targeting.wanted_by(member.agent.instance_uid, member.agent.labels)
                member.events += self.rows[member.agent.pk].assign(wanted)

    def part(self, agent: BatchAgent) -> WantedNotice | None:
        row = self.rows[agent.agent.pk].row if agent.agent.pk in self.rows else None
        return WantedNotice(row.version.text) if row and row.status == "pending" and not self.is_held(agent) else None

    def note_sent(self, agent: BatchAgent, reply: Reply) -> None:
        if any(isinstance(member, WantedNotice) for member in reply.further):
            self.batch.change(self.rows[agent.agent.pk].row, "status", "told")
