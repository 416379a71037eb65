"""The rows of this app, one file for each idea."""

from rollouts.models.freezes import Freeze, FreezeGeneration, FreezeQuerySet
from rollouts.models.releases import Release, ReleaseQuerySet, add_release
from rollouts.models.rollout import ACTIVE, Rollout, RolloutQuerySet, RolloutStep

__all__ = [
    "ACTIVE",
    "Freeze",
    "FreezeGeneration",
    "FreezeQuerySet",
    "Release",
    "ReleaseQuerySet",
    "Rollout",
    "RolloutQuerySet",
    "RolloutStep",
    "add_release",
]
