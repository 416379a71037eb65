"""The restart command (S-96, S-97): sent once, at a person's request, and nothing beside it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from agents.models import AgentCommand
from agents.replies import Reply
from agents.reply_parts import RestartPart
from agents.services import commands
from agents.services.batch import BatchAgent, ReportingAgent
from agents.services.offers import Offer


class RestartOffer(Offer):
    """A restart that was asked for; seeing the agent begin anew closes it."""

    def read(self) -> None:
        """With all other commands that wait."""
        self._waiting = self.batch.once(commands.pending_in)

    def note_reports(self) -> None:
        """The restarts that were sent to agents which have just begun anew did it."""
        restarted = [
            agent.agent.pk for agent in self.batch.agents if isinstance(agent, ReportingAgent) and agent.restarted
        ]
        if restarted:
            commands.observe_restarts(restarted, at=self.batch.at)

    def part(self, agent: BatchAgent) -> RestartPart | None:
        """One restart stands for all that were asked for meanwhile."""
        return RestartPart() if self._restart_of(agent) is not None else None

    def note_sent(self, agent: BatchAgent, reply: Reply) -> None:
        """It goes out at most once, among all processes."""
        command = self._restart_of(agent)
        if reply.restart and command is not None:
            commands.take(command, at=self.batch.at)

    def is_left(self, agent: BatchAgent, reply: Reply) -> bool:
        """After a restart everything else is still to come; a restart that was not sent waits for the capability."""
        return reply.restart or self._restart_of(agent) is not None

    @classmethod
    def pending_since(cls, at: datetime) -> Iterable[UUID]:
        """Commands of either kind that were not sent yet."""
        return commands.pending_uids()

    def _restart_of(self, agent: BatchAgent) -> AgentCommand | None:
        queue = self._waiting.get(agent.agent.pk, ())
        return next((command for command in queue if command.kind == AgentCommand.Kind.RESTART), None)
