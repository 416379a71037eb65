"""The rows of this app: what an agent sent last, and its days."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from agents.models import Agent


class LatestTelemetry(models.Model):
    """What an agent said of itself last, the counters its next rates are reckoned from, and the slot that is not over.

    Written with every request of the agent, so it is small; `services.storing` alone writes it, under its lock.
    """

    agent = models.OneToOneField(Agent, on_delete=models.CASCADE, primary_key=True, related_name="telemetry")
    received_at = models.DateTimeField(_("received at"), null=True)
    cpu = models.FloatField(_("CPU"), null=True)
    memory = models.FloatField(_("memory"), null=True)
    accepted = models.FloatField(_("accepted"), null=True)
    refused = models.FloatField(_("refused"), null=True)
    failed = models.FloatField(_("failed"), null=True)
    queue = models.FloatField(_("queue"), null=True)
    # `telemetry.increases.Known`.
    counters = models.JSONField(default=dict, editable=False)
    # `telemetry.increases.Flows`.
    flows = models.JSONField(default=dict, editable=False)
    # `telemetry.slots.OpenSlot`, and when it began.
    slot_at = models.DateTimeField(null=True, editable=False)
    slot = models.JSONField(default=dict, editable=False)

    class Meta:
        verbose_name = _("latest telemetry")
        verbose_name_plural = _("latest telemetry")
        # Whoever may see an agent may see this of it.
        default_permissions = ()
        indexes = [models.Index(fields=["received_at"], name="telemetry_received")]

    def __str__(self) -> str:
        return f"{self.agent_id}: {self.received_at}"


class TelemetryDay(models.Model):
    """One day of one agent in UTC; ``slots`` are `telemetry.slots.Day`'s bytes.

    Hangs on the other row and not on the agent: whoever writes it holds that one's lock, and agents' are not asked for.
    """

    latest = models.ForeignKey(LatestTelemetry, on_delete=models.CASCADE, related_name="days")
    day = models.DateField(_("day"), db_index=True)
    slots = models.BinaryField()

    class Meta:
        verbose_name = _("day of telemetry")
        verbose_name_plural = _("days of telemetry")
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["latest", "day"], name="one_telemetry_day")]

    def __str__(self) -> str:
        return f"{self.latest_id}: {self.day}"
