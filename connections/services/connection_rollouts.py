"""Connection settings as something that is rolled out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from connections.models import AgentConnection
from connections.services.connection_releases import CONNECTION_RELEASES
from rollouts.models import Rollout
from rollouts.services.standings import Progress, Standing
from rollouts.services.version_subjects import VersionSubject

Status = AgentConnection.Status
# One that was told and does not say more has got it.
_DONE = (Status.APPLIED, Status.TOLD)


def _standing(status: str, error: str = "") -> Standing:
    progress = {Status.INCAPABLE: Progress.INCAPABLE, Status.FAILED: Progress.FAILED}.get(Status(status))
    if progress is None:
        progress = Progress.APPLIED if status in _DONE else Progress.WAITING
    unsent = status == Status.PENDING
    return Standing(progress, unsent=unsent, reached=not unsent, error=error)


def _described(rollout: Rollout) -> Mapping[str, Any]:
    """``{"connection_settings", "version"}``."""
    return {"connection_settings": rollout.name, "version": str(rollout.version_number)}


def _left_over(agent_ids: Sequence[int]) -> Sequence[UUID]:
    """Agents that had no settings before keep what they were told: nothing can take that back."""
    left = AgentConnection.objects.filter(agent_id__in=agent_ids, version=None)
    return list(left.values_list("agent__instance_uid", flat=True))


CONNECTION_SUBJECT = VersionSubject(
    CONNECTION_RELEASES,
    holders=AgentConnection.objects,
    from_agent="connection",
    pending=Status.PENDING,
    standing=_standing,
    described=_described,
    left_over=_left_over,
)
