"""Labels that an operator changed reach packages here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from packages.services.installing import assign_packages
from packages.services.matching import current_packages, hold_packages


def assign_relabelled(agent_ids: Sequence[int], at: datetime) -> None:
    """Decide anew what these agents should have. The caller wakes them."""
    hold_packages(exclusive=False)
    targeting = current_packages()
    if targeting.generation is not None:
        assign_packages(agent_ids, at, targeting)
