"""Rollouts in the admin: `rollout_pages` is the list and the page of one, `forms` the question how something goes out."""

from rollouts.admin.rollout_pages import RolloutAdmin

__all__ = ["RolloutAdmin"]
