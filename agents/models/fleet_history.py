"""How many agents there were, and how they stood, at times of the past."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class FleetSample(models.Model):
    """The counts of one time slot of ``step`` seconds that begins ``at``; of coarser steps the means of the finer ones.

    All but ``total`` are of agents that were connected. ``connected`` less ``healthy`` and ``unhealthy`` never said how they are.
    """

    step = models.PositiveIntegerField(_("seconds"))
    at = models.DateTimeField(_("at"))
    total = models.PositiveIntegerField(_("agents"))
    connected = models.PositiveIntegerField(_("connected"))
    healthy = models.PositiveIntegerField(_("healthy"))
    unhealthy = models.PositiveIntegerField(_("unhealthy"))
    in_sync = models.PositiveIntegerField(_("in sync"))
    failed = models.PositiveIntegerField(_("configuration failed"))

    class Meta:
        verbose_name = _("counts of the fleet")
        verbose_name_plural = _("counts of the fleet")
        ordering = ["step", "at"]
        constraints = [models.UniqueConstraint(fields=["step", "at"], name="one_fleet_sample")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} ({self.step} s)"
