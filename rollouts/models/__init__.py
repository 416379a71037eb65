"""The rows of this app, one file for each idea."""

from rollouts.models.releases import Release, ReleaseQuerySet, add_release

__all__ = ["Release", "ReleaseQuerySet", "add_release"]
