"""Rows about notices on their way."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from alerts.models.alert_rows import Alert
from alerts.models.receiver_rows import Receiver
from alerts.models.visible import SeenByRight
from foundation.topics import tell_changed

LONGEST_WAIT = timedelta(hours=2)
"""No delivery is put off for longer, neither by itself nor because its receiver asks for it."""


class DeliveryQuerySet(SeenByRight):
    """The vocabulary of reading deliveries."""

    def due(self, at: datetime) -> Self:
        """Those to try at ``at``: that wait, and those whose process died while it sent them.

        What lies further ahead than anything is put off was written by a clock that was put back since.
        """
        ahead = at + LONGEST_WAIT
        return self.filter(
            Q(state=AlertDelivery.State.WAITING) & (Q(next_attempt_at__lte=at) | Q(next_attempt_at__gt=ahead))
            | Q(state=AlertDelivery.State.SENDING) & (Q(claimed_until__lte=at) | Q(claimed_until__gt=ahead))
        ).exclude(models.Exists(self._unfinished_before()))

    def _unfinished_before(self) -> models.QuerySet[AlertDelivery]:
        """What the same receiver has to hear first: nobody is told of an end before the beginning.

        The former alert of the same rule and group counts too: Alertmanager takes both for one.
        """
        unfinished = AlertDelivery.objects.filter(state__in=(AlertDelivery.State.WAITING, AlertDelivery.State.SENDING))
        alike = Q(alert=models.OuterRef("alert")) | Q(
            alert__rule=models.OuterRef("alert__rule"), alert__group_key=models.OuterRef("alert__group_key")
        )
        return unfinished.filter(alike, receiver=models.OuterRef("receiver"), pk__lt=models.OuterRef("pk"))


class AlertDelivery(models.Model):
    """One notice to one receiver. ``notice`` is what is told (`alerts.notices.Notice`), as it was when it was decided to tell it.

    ``key`` goes with every attempt, so that a receiver can tell a repeated one. ``attempts`` is compared by whoever takes it.
    """

    class State(models.TextChoices):
        """How far it is."""

        WAITING = "waiting", _("Waiting")
        SENDING = "sending", _("Being sent")
        SENT = "sent", _("Sent")
        FAILED = "failed", _("Given up")

    class Event(models.TextChoices):
        """Why it is told."""

        FIRING = "firing", _("Firing")
        REPEATED = "repeated", _("Still firing")
        RESOLVED = "resolved", _("Resolved")

    receiver = models.ForeignKey(
        Receiver, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("alert receiver")
    )
    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("alert"))
    sequence = models.PositiveIntegerField(editable=False)
    event = models.CharField(_("event"), max_length=10, choices=Event.choices)
    key: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(_("idempotency key"), default=uuid.uuid4)
    notice = models.JSONField(editable=False)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    created_at = models.DateTimeField(_("created at"))
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True)
    claimed_until = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    status_code = models.PositiveSmallIntegerField(_("status code"), null=True)
    # Why the last attempt failed, as `Message.as_json`; what a receiver says of itself is bounded and without secrets.
    problem = models.JSONField(_("error"), null=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert delivery")
        verbose_name_plural = _("alert deliveries")
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["next_attempt_at"], name="delivery_waiting", condition=Q(state="waiting")),
            models.Index(fields=["claimed_until"], name="delivery_sending", condition=Q(state="sending")),
            models.Index(fields=["state", "-id"], name="delivery_state"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["alert", "receiver", "sequence"], name="one_delivery_of_a_notice")
        ]

    def __str__(self) -> str:
        return f"{self.receiver_id}: {self.event} {self.alert_id}"

    @property
    def is_outdated(self) -> bool:
        """Whether what it tells is no longer so, or the receiver has had, or will have, news of the same rule and group."""
        alert = self.alert
        if self.event != self.Event.RESOLVED and alert.state == Alert.State.RESOLVED:
            return True
        alike = Q(alert=alert) | Q(
            alert__rule=alert.rule_id, alert__group_key=alert.group_key, alert__rule__isnull=False
        )
        later = AlertDelivery.objects.filter(alike, receiver=self.receiver_id, pk__gt=self.pk)
        return later.exclude(state=self.State.FAILED).exists()

    def change(self, **values: Any) -> bool:
        """Change columns unless the row was taken meanwhile; false then."""
        rows = type(self).objects.filter(pk=self.pk, state=self.state, attempts=self.attempts)
        changed = rows.update(**values)
        if changed:
            for name, value in values.items():
                setattr(self, name, value)
            tell_changed("alerts.alertdelivery", self.pk)
        return bool(changed)
