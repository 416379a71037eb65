"""Custom messages to agents and the list of our own custom capabilities (S-93 … S-95)."""

from __future__ import annotations

from agents import extensions
from agents.models import AgentCommand
from agents.replies import Reply
from agents.reply_parts import CustomCapabilitiesPart, CustomMessagePart
from agents.services import commands
from agents.services.batch import BatchAgent, ReportingAgent
from agents.services.offers import Offer


class CustomMessageOffer(Offer):
    """The messages that wait for an agent, one with each reply, in order; `RestartOffer` looks for those never sent."""

    def read(self) -> None:
        """Messages of capabilities that their agent lists no more are cancelled (S-94)."""
        self._messages: dict[int, list[AgentCommand]] = {}
        waiting = {
            key: messages
            for key, queue in self.batch.once(commands.pending_in).items()
            if (messages := [command for command in queue if command.kind == AgentCommand.Kind.CUSTOM_MESSAGE])
        }
        if not waiting:
            return
        listed = {
            agent.agent.pk: agent.state.custom_capabilities
            for agent in self.batch.agents
            if isinstance(agent, ReportingAgent)
        }
        unknown = [key for key in waiting if key not in listed]
        listed |= commands.listed_capabilities(unknown) if unknown else {}
        silent = {
            agent.agent.pk for agent in self.batch.agents if isinstance(agent, ReportingAgent) and not agent.speaks
        }
        for key, messages in waiting.items():
            if key not in silent:
                self._messages[key] = commands.sendable(messages, listed.get(key, ()), at=self.batch.at)

    def part(self, agent: BatchAgent) -> CustomMessagePart | None:
        """The oldest one."""
        messages = self._messages.get(agent.agent.pk)
        return CustomMessagePart(commands.custom_message_of(messages[0])) if messages else None

    def note_sent(self, agent: BatchAgent, reply: Reply) -> None:
        """It goes out at most once, among all processes."""
        messages = self._messages.get(agent.agent.pk)
        if reply.custom_message is not None and messages:
            commands.take(messages.pop(0), at=self.batch.at)

    def is_left(self, agent: BatchAgent, reply: Reply) -> bool:
        """Further ones follow with the next message."""
        return bool(self._messages.get(agent.agent.pk))


class CustomCapabilitiesOffer(Offer):
    """What this server's receivers take, told when the agent was not told this list yet (S-93)."""

    def part(self, agent: BatchAgent) -> CustomCapabilitiesPart | None:
        """Memory of what was told is the session's, and comes with the report."""
        if not isinstance(agent, ReportingAgent):
            return None
        current = extensions.custom_capabilities()
        return None if agent.arrival.told_capabilities == current else CustomCapabilitiesPart(current)
