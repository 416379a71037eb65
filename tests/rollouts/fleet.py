"""A fleet of agents that remember what they were sent: rollouts are judged from their side."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID, uuid5

from agents.models import Transport
from agents.reports import (
    AgentDescription,
    ComponentHealth,
    RemoteConfigStatus,
    RemoteConfigStatuses,
    StatusReport,
)
from agents.services.arrivals import Arrival, Lease
from agents.services.leases import release_leases
from opamp_transport.batch import answer_wakeups, process_reports
from tests.people import CAPABLE

_NAMES = UUID("5c1b9b2e-6f0d-4a53-9d0e-2f4a3c8c1d10")


class RememberingAgent:
    """One agent and every text it was offered, in order."""

    def __init__(self, number: int, labels: dict[str, str]) -> None:
        self.uid = uuid5(_NAMES, str(number))
        self.labels = {"host.name": f"agent-{number:03}", **labels}
        self.lease = Lease(f"lease-{number}", "test", Transport.WEBSOCKET, "127.0.0.1")
        self.sequence = 0
        self.offers: list[str] = []
        self.hash = b""

    @property
    def latest(self) -> str:
        """What it was offered last; empty for nothing."""
        return self.offers[-1] if self.offers else ""


class Fleet:
    """Agents that report through the real batch processing; ``at`` is the time of all they do."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.agents: list[RememberingAgent] = []

    def join(self, count: int, **labels: str) -> list[RememberingAgent]:
        """``count`` agents more connect with a full report."""
        joined = [RememberingAgent(len(self.agents) + number, labels) for number in range(count)]
        self.agents += joined
        self._report(joined, full=True)
        return joined

    def relabel(self, agent: RememberingAgent, **labels: str) -> None:
        """The agent describes itself anew."""
        agent.labels |= labels
        self._report([agent], full=True)

    def leave(self, agent: RememberingAgent) -> None:
        """Its connection closes."""
        release_leases([agent.lease.id], reason="test", at=self.at)

    def wake(self, agents: Iterable[RememberingAgent] | None = None) -> None:
        """Every agent is looked at, as a wake-up has it; offers are taken."""
        woken = {agent.uid: agent for agent in agents or self.agents}
        for uid, processed in answer_wakeups({uid: each.lease for uid, each in woken.items()}, at=self.at).items():
            self._take(woken[uid], processed.reply)

    def answer(
        self,
        agents: Iterable[RememberingAgent],
        status: RemoteConfigStatuses = RemoteConfigStatuses.APPLIED,
        *,
        error: str = "",
        healthy: bool = True,
    ) -> None:
        """These agents say what became of what they were offered last."""
        self._report([agent for agent in agents if agent.hash], status=status, error=error, healthy=healthy)

    def offered(self, text: str) -> set[UUID]:
        """The agents that were ever offered this text."""
        return {agent.uid for agent in self.agents if text in agent.offers}

    def _report(
        self,
        agents: list[RememberingAgent],
        *,
        full: bool = False,
        status: RemoteConfigStatuses | None = None,
        error: str = "",
        healthy: bool = True,
    ) -> None:
        arrivals = []
        for agent in agents:
            said = None if status is None else RemoteConfigStatus(agent.hash, status, error)
            if full and not agent.hash:
                said = RemoteConfigStatus(b"", RemoteConfigStatuses.UNSET, "")
            description = AgentDescription({"service.name": "otelcol"}, agent.labels) if full else None
            report = StatusReport(
                agent.uid,
                agent.sequence,
                CAPABLE,
                agent_description=description,
                health=ComponentHealth(healthy, "", "", 0, 0, {"healthy": healthy}),
                remote_config_status=said
                or (RemoteConfigStatus(b"", RemoteConfigStatuses.UNSET, "") if full and not agent.hash else None),
            )
            agent.sequence += 1
            arrivals.append(Arrival(report, agent.lease))
        for agent, processed in zip(agents, process_reports(arrivals, at=self.at), strict=True):
            self._take(agent, processed.reply)

    def _take(self, agent: RememberingAgent, reply: object) -> None:
        config = getattr(reply, "remote_config", None)
        if config is not None:
            agent.hash = reply.config_hash  # type: ignore[attr-defined]  a reply that has files has their hash
            agent.offers.append("".join(file.body.decode() for file in config.files.values()))
