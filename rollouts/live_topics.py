"""What open pages about rollouts listen to: steps, each of which is in the audit trail, and while one is under way agents."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from foundation.topics import Topic, register_topic
from rollouts.models import Rollout


def under_way(_agents: Collection[str], wanted: Collection[str]) -> Iterable[str]:
    """Rollouts that have not ended: which agents one concerns is asked by its page, not here."""
    keys = [key for key in wanted if key.isdecimal() and len(key) < 19]
    return map(str, Rollout.objects.filter(pk__in=keys, ended_at=None).values_list("pk", flat=True))


def register() -> None:
    """Called when Django is ready."""
    follows = {"rollouts.rollout": None, "agents.agent": under_way}
    register_topic(Topic("rollout", "rollouts.view_rollout", follows, keyed=True))
    register_topic(Topic("rollouts", "rollouts.view_rollout", {"rollouts.rollout": None}))
