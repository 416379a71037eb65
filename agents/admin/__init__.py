"""Agents in the admin: `fleet` is the list, `page` one agent, `bulk_actions` what can be done to many."""

from agents.admin import fleet_overview
from agents.admin.fleet import AgentAdmin

__all__ = ["AgentAdmin"]

fleet_overview.register()
