"""The admin of what this app keeps: `freezes` is the page that freezes and pauses, `holding_forms` why and until when."""

from rollouts.admin import agent_actions
from rollouts.admin.freezes import FreezeAdmin

__all__ = ["FreezeAdmin"]

agent_actions.register()
