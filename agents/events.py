"""What the fleet tells other apps: one class of events for all lines of timelines. Knows neither rows nor who listens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from foundation.events import Event


@dataclass(frozen=True, slots=True)
class AgentTimelineEvent(Event):
    """One line of an agent's timeline was written, or said once more.

    ``kind`` is a value of `agents.models.AgentEvent.Kind` or one that an app has registered, ``data`` what its text is filled with.
    ``at`` is when it happened.
    ``instance_uid`` is ``None`` where the writer did not have the agent's row, as for agents of a lost process. ``repeated``: the
    line was folded into an earlier one, so the timeline only counts it.
    """

    agent_id: int
    instance_uid: UUID | None
    kind: str
    at: datetime
    data: Mapping[str, Any]
    repeated: bool = False
