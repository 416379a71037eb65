"""The box with which a person confirms whom a selector reaches, where that is nobody or far more than before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from configurations.previewing import Preview

REACH_SEEN = "reach_seen"


def confirmation_refusal(found: Preview, posted: Mapping[str, Any]) -> str | None:
    """Why ``posted`` cannot be carried out yet; ``None`` when there is nothing to confirm, or it was."""
    if not found.warnings or posted.get(REACH_SEEN):
        return None
    return _("Confirm below whom the selector reaches.")
