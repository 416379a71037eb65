"""What is true of the fleet as a whole."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Fleet(models.Model):
    """One row: the label keys under which agents' own word did not count when the labels were computed last.

    Whoever takes the last room of the fleet locks it, so that two processes cannot take it at once.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    trusted_label_keys = models.JSONField(default=list)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="only_one_fleet")]

    def __str__(self) -> str:
        return "fleet"
