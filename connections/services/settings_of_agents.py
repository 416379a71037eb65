"""Making what agents should have into rows: one for each agent, compared with what it was told before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from agents.models import Agent, AgentEvent
from connections.members import News, news_for, wanted_members
from connections.models import AgentConnection, SettingsVersion
from connections.services.connection_targeting import ConnectionTargeting, fresh_connections, settings_wanted_by
from foundation.bulk_sql import is_new
from foundation.unit_of_work import UnitOfWork
from rollouts.services.version_publishing import assign_in_batches

Status = AgentConnection.Status
_OPEN = (Status.OFFERED, Status.TOLD, Status.APPLYING)
# What the timeline calls them.
DUE, OFFERED, APPLIED = "connection_due", "connection_offered", "connection_applied"
FAILED, DROPPED, MOVED = "connection_failed", "connection_dropped", "connection_moved"
_NEVER_OFFERED: dict[str, Any] = {"offered_lease": "", "offered_at": None, "offer_count": 0}


@dataclass(slots=True)
class ConnectionOfAgent:
    """An agent's row while it is worked on; ``work`` writes what changes. ``row`` is ``None`` for one that never had any."""

    work: UnitOfWork
    agent: Agent
    row: AgentConnection | None = None

    @property
    def news(self) -> News:
        """What it was not told; nothing where it refused the very same."""
        row = self.row
        if row is None or (row.failed and row.failed == row.wanted):
            return News()
        return news_for(row.wanted, row.told)

    def assign(self, version: SettingsVersion | None) -> AgentEvent | None:
        """Make this what the agent should have; a line for its timeline, ``None`` when that is no change."""
        if self.row is None:
            if version is None:
                return None
            at = self.work.at
            self.row = AgentConnection(agent=self.agent, version=version, assigned_at=at, status_at=at)
            self.work.insert(self.row)
            self._renew()
            return self.line(DUE)
        if self.row.version_id == (version.pk if version is not None else None):
            return None
        dropped = self.line(DROPPED) if version is None else None
        self.row.version = version
        self.work.mark(self.row, ("version",))
        self._renew()
        return dropped or self.line(DUE)

    def follow_capabilities(self) -> None:
        """Which members it takes has changed."""
        if self.row is not None:
            self._renew()

    def change(self, **values: Any) -> bool:
        """Change columns of the row, which there is; true when one differed."""
        assert self.row is not None  # noqa: S101  asked by callers
        changed = False
        for name, value in values.items():
            changed |= self.work.change(self.row, name, value)
        return changed

    def set_status(self, status: str, error: str = "") -> bool:
        """True when the status is another one."""
        self.change(error_message=error)
        return self.change(status=status) and self.change(status_at=self.work.at)

    def line(self, kind: str, **more: Any) -> AgentEvent:
        """A line of the timeline about the settings it should have."""
        version = self.row.version if self.row is not None else None
        named = {"settings": version.settings.name, "number": version.number} if version is not None else {}
        return AgentEvent(agent=self.agent, at=self.work.at, kind=kind, data={**named, **more})

    def _renew(self) -> None:
        """Members and status follow version and capabilities; what differs was never offered."""
        assert self.row is not None  # noqa: S101  asked by callers
        version = self.row.version
        wanted = wanted_members(version.digests, self.agent.capabilities) if version is not None else {}
        before = (self.row.wanted, self.row.status)
        changed = self.change(wanted=wanted)
        if version is None:
            self.set_status(Status.NONE)
        elif not wanted:
            self.set_status(Status.INCAPABLE)
        elif changed or before[1] in (Status.NONE, Status.INCAPABLE):
            self.change(failed={})
            answered = before[1] if not self.news and before[1] in _OPEN else None
            self.set_status(answered or (Status.PENDING if self.news else Status.APPLIED))
        if self.news:
            self.change(assigned_at=self.work.at, **_NEVER_OFFERED)


def connections_of(agents: Sequence[Agent], work: UnitOfWork) -> list[ConnectionOfAgent]:
    """The agents with their rows, in the same order: one query."""
    keys = [agent.pk for agent in agents if not is_new(agent)]
    found = AgentConnection.objects.filter(agent__in=keys).select_related("version__settings", "told_version")
    rows = {row.agent_id: row for row in found} if keys else {}
    return [ConnectionOfAgent(work, agent, rows.get(agent.pk)) for agent in agents]


def assign_connections(
    agent_ids: Iterable[int], at: datetime, targeting: ConnectionTargeting | None = None
) -> list[UUID]:
    """Match these agents, and write what changed; returns the uids of those for whom something moved.

    In the caller's transaction, which holds connections.
    """
    released = targeting or fresh_connections()

    def assign(agents: Sequence[Agent], work: UnitOfWork) -> Iterator[tuple[Agent, list[AgentEvent]]]:
        for each in connections_of(agents, work):
            line = each.assign(settings_wanted_by(each.agent.instance_uid, each.agent.labels, released))
            yield each.agent, [] if line is None else [line]

    return assign_in_batches(agent_ids, at, assign)
