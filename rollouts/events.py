"""What rollouts tell other apps. Knows neither rows nor who listens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from foundation.events import Event
from foundation.messages import Message


@dataclass(frozen=True, slots=True)
class RolloutEvent(Event):
    """A rollout made one step.

    ``kind`` is a value of `rollouts.models.RolloutStep.Kind`, ``state`` where the rollout stands after it, ``stage`` counts from
    0. ``by`` names a person, or the portal itself.
    """

    rollout_id: int
    subject: str
    subject_id: int
    name: str
    version_number: int
    kind: str
    state: str
    stage: int
    at: datetime
    by: str
    reasons: Sequence[Message]
    data: Mapping[str, Any]
