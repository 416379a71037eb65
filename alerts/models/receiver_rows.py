"""Rows about who is told."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from alerts.models.rule_rows import AlertSeverity
from alerts.models.visible import SeenByRight


class ReceiverQuerySet(SeenByRight):
    """The vocabulary of reading receivers."""


class Receiver(models.Model):
    """Where notices go. Its address and secret are encrypted (`variables.encryption`) and never shown: addresses of chat systems
    let in whoever knows them. ``address_shown`` is what may be seen of it.
    """

    class Kind(models.TextChoices):
        """How it is told."""

        WEBHOOK = "webhook", _("Webhook")
        EMAIL = "email", _("E-mail")
        SLACK = "slack", _("Slack-compatible webhook")
        ALERTMANAGER = "alertmanager", _("Alertmanager")

    name = models.CharField(_("name"), max_length=100, unique=True)
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices)
    enabled = models.BooleanField(_("enabled"), default=True)
    is_default = models.BooleanField(
        _("default"), default=False, help_text=_("It is told of rules that name no receivers.")
    )
    least_severity = models.CharField(
        _("from severity"), max_length=10, choices=AlertSeverity.choices, default=AlertSeverity.INFO
    )
    language = models.CharField(_("language"), max_length=10, default="en")
    recipients = models.JSONField(_("recipients"), default=list, blank=True)
    encrypted_address = models.TextField(blank=True, editable=False)
    address_shown = models.CharField(_("address"), max_length=300, blank=True, editable=False)
    encrypted_secret = models.TextField(blank=True, editable=False)
    edition = models.PositiveIntegerField(_("edition"), default=1, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())

    objects = ReceiverQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert receiver")
        verbose_name_plural = _("alert receivers")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
