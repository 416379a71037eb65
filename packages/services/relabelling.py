"""Labels that an operator changed reach packages here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from packages.services.assigning import rematch
from packages.services.targeting import current_packages, hold_packages


def rematch_agents(agent_ids: Sequence[int], at: datetime) -> None:
    """Decide anew what these agents should have. The caller wakes them."""
    hold_packages(exclusive=False)
    targeting = current_packages()
    if targeting.generation is not None:
        rematch(agent_ids, at, targeting)
