"""Rows about former values that a revision goes on being rendered with."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from configurations.models.revisions import Revision
from variables.models import ValueVersion


class HeldValue(models.Model):
    """``revision`` is rendered with ``version`` of the name ``use``, not with its present value.

    A rollout of new values has it of the revisions that were in force before, so that agents outside its stages keep what they
    have, and get it again when it is rolled back.
    """

    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="held_values")
    use = models.CharField(_("use"), max_length=120)
    version = models.ForeignKey(ValueVersion, on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("held value")
        verbose_name_plural = _("held values")
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["revision", "use"], name="one_held_value_per_use")]

    def __str__(self) -> str:
        return f"{self.revision_id}: {self.use}"
