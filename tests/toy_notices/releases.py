"""How notices are matched, released and rolled out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from agents.models import Agent, AgentEvent
from foundation.errors import DomainError
from foundation.messages import Message
from foundation.unit_of_work import UnitOfWork
from rollouts.services.releasable import Releasable
from rollouts.services.standings import Progress, Standing
from rollouts.services.version_publishing import Releasing, assign_in_batches
from rollouts.services.version_subjects import VersionSubject
from tests.toy_notices.models import Notice, NoticeGeneration, NoticeVersion, ToldNotice

NOTICES = Releasable(
    "notice", Notice.objects, NoticeVersion.objects, "notice", NoticeGeneration.objects,
    lock=0x0A4D_70F1, strength=lambda notice: -notice.priority, competes_as=lambda notice: None,
)  # fmt: skip


@dataclass(slots=True)
class NoticeOfAgent:
    """An agent's row while it is worked on."""

    work: UnitOfWork
    agent: Agent
    row: ToldNotice | None

    def assign(self, wanted: Sequence[tuple[Notice, NoticeVersion]]) -> list[AgentEvent]:
        """Lines of the timeline, none where nothing moved. An agent that was told keeps the notice."""
        if not wanted or (self.row is not None and self.row.version_id == wanted[0][1].pk):
            return []
        if self.row is None:
            self.row = ToldNotice(agent=self.agent, version=wanted[0][1])
            self.work.insert(self.row)
        else:
            self.row.version = wanted[0][1]
            self.work.mark(self.row, ("version",))
            self.work.change(self.row, "status", "pending")
        return [AgentEvent(agent=self.agent, at=self.work.at, kind="notice_due", data={})]


def notices_of(agents: Sequence[Agent], work: UnitOfWork) -> list[NoticeOfAgent]:
    rows = {row.agent_id: row for row in ToldNotice.objects.filter(agent__in=[each.pk for each in agents if each.pk])}
    return [NoticeOfAgent(work, agent, rows.get(agent.pk)) for agent in agents]


def assign_notices(agent_ids: Iterable[int], at: datetime, targeting: Any = None) -> list[UUID]:
    released = targeting or NOTICES.fresh()

    def assign(agents: Sequence[Agent], work: UnitOfWork) -> Iterator[tuple[Agent, list[AgentEvent]]]:
        for each in notices_of(agents, work):
            yield each.agent, each.assign(released.wanted_by(each.agent.instance_uid, each.agent.labels))

    return assign_in_batches(agent_ids, at, assign)


def _refusal(version: NoticeVersion, to_all: bool) -> DomainError | None:
    return DomainError(Message("notice-released", "Everybody has it.")) if to_all else None


RELEASES = Releasing(NOTICES, "notice__version__notice", assign_notices, "notice.release", lambda v: v.number, _refusal)


def _standing(status: str, error: str) -> Standing:
    unsent = status == "pending"
    return Standing(Progress.WAITING if unsent else Progress.APPLIED, unsent=unsent, reached=not unsent)


SUBJECT = VersionSubject(RELEASES, ToldNotice.objects, "notice", "pending", _standing, lambda rollout: {})
