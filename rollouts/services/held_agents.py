"""Who of a batch is held by a freeze or a pause."""

from __future__ import annotations

from datetime import datetime

from agents.models import Agent
from rollouts.services.freezing import Freezes, current_freezes


class HeldAgents:
    """Asked for one agent after the other; freezes are read when the first one is asked for."""

    def __init__(self, at: datetime) -> None:
        self._at = at
        self._freezes: Freezes | None = None

    def holds(self, agent: Agent) -> bool:
        """Whether what is new for the agent has to wait."""
        if self._freezes is None:
            self._freezes = current_freezes()
        return self._freezes.holding(agent, self._at) is not None
