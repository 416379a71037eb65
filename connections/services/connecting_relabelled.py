"""Labels that an operator changed reach connection settings here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from connections.services.connection_targeting import current_connections, hold_connections
from connections.services.settings_of_agents import assign_connections


def connect_relabelled(agent_ids: Sequence[int], at: datetime) -> None:
    """Decide anew what these agents should have. The caller wakes them."""
    hold_connections(exclusive=False)
    targeting = current_connections()
    if targeting.generation is not None:
        assign_connections(agent_ids, at, targeting)
