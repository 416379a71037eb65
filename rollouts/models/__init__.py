"""The rows of this app, one file for each idea."""

from rollouts.models.freezes import Freeze, FreezeGeneration, FreezeQuerySet
from rollouts.models.releases import Release, ReleaseQuerySet, add_release
from rollouts.models.rollout import ACTIVE, Rollout, RolloutQuerySet, RolloutStep
from rollouts.models.targeted import Generation, ReleasedVersion, Targeted, TargetedQuerySet, only_one

__all__ = [
    "ACTIVE",
    "Freeze",
    "FreezeGeneration",
    "FreezeQuerySet",
    "Generation",
    "Release",
    "ReleaseQuerySet",
    "ReleasedVersion",
    "Rollout",
    "RolloutQuerySet",
    "RolloutStep",
    "Targeted",
    "TargetedQuerySet",
    "add_release",
    "only_one",
]
