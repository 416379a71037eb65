"""Reading rows by the view right of their model."""

from __future__ import annotations

from typing import Any, Self

from django.db import models


class SeenByRight(models.QuerySet[Any]):
    """Rows that need the view right of their model."""

    def visible_to(self, user: Any) -> Self:
        """What ``user`` may see: all with the view right, else none."""
        return self if user.has_perm(f"alerts.view_{self.model._meta.model_name}") else self.none()
