"""Rollouts in the admin: `pages` is the list and the page of one, `forms` the question how something goes out."""

from rollouts.admin.pages import RolloutAdmin

__all__ = ["RolloutAdmin"]
