"""What a person may do about an agent's answer to its configuration."""

from __future__ import annotations

from agents.models import Agent
from configurations.models import Assignment
from configurations.outcome import AssignmentStatus
from foundation.messages import Message


def advice_on(agent: Agent, assignment: Assignment | None) -> Message | None:
    """A hint, or ``None``: a connected agent that is healthy may have recovered since it said that it failed."""
    failed = assignment is not None and assignment.status == AssignmentStatus.FAILED.value
    if failed and agent.connected and agent.healthy:
        return Message(
            "healthy-although-failed",
            "The agent is healthy although it said that this configuration failed: it may run the configuration it had "
            "before, or have needed longer than it waits. Offer the configuration once more (retry), or change it.",
        )
    return None
