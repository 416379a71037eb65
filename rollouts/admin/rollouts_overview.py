"""What the overview shows of rollouts: those under way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from foundation.overview import OverviewPanel, register_overview_panel
from rollouts.admin.rollout_pages import state_pill
from rollouts.models import Rollout

_MOST = 10


def rollouts_panel(request: HttpRequest) -> Mapping[str, Any] | None:
    """The newest that have not ended; nothing where there is none."""
    if not request.user.has_perm("rollouts.view_rollout"):
        return None
    rows = [(row, state_pill(row)) for row in Rollout.objects.active().order_by("-pk")[:_MOST]]
    return {"rollouts": rows} if rows else None


def register() -> None:
    """Onto the overview."""
    register_overview_panel(OverviewPanel("rollouts", "overview/rollouts.html", rollouts_panel, rank=5, wide=True))
