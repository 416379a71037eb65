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


@dataclass(frozen=True, slots=True)
class FreezeEvent(Event):
    """A freeze, or the pause of one agent, began or ended.

    ``ended`` says which. ``audience`` is its stored form, ``agent_id`` the key of a paused agent. ``by`` names a person, or the
    portal itself.
    """

    freeze_id: int
    ended: bool
    audience: Mapping[str, Any]
    agent_id: int | None
    reason: str
    expires_at: datetime | None
    at: datetime
    by: str
