"""Rollouts in the admin: `rollout_pages` is the list and the page of one, `forms` the question how something goes out.

`freeze_pages` is the page that freezes and pauses, `holding_forms` asks why and for how long.
"""

from rollouts.admin import pausing, rollouts_overview
from rollouts.admin.freeze_pages import FreezeAdmin
from rollouts.admin.rollout_pages import RolloutAdmin

__all__ = ["FreezeAdmin", "RolloutAdmin"]

pausing.register()
rollouts_overview.register()
