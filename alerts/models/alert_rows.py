"""Rows about what is wrong, and was."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from alerts.models.rule_rows import AlertRule, AlertSeverity
from alerts.models.silence_rows import Silence
from alerts.models.visible import SeenByRight
from foundation.clock import is_ahead
from foundation.messages import Message
from foundation.topics import tell_changed

MOST_SAMPLED = 20
"""Agents, or other things, that an alert names of all it counts."""


class AlertQuerySet(SeenByRight):
    """The vocabulary of reading alerts."""

    def open(self) -> Self:
        """Those that are not over: pending or firing."""
        return self.exclude(state=Alert.State.RESOLVED)

    def firing(self) -> Self:
        """Those that hold now."""
        return self.filter(state=Alert.State.FIRING)

    def unattended(self) -> Self:
        """Firing ones that nobody acknowledged or silenced: what the bell counts."""
        return self.firing().filter(acknowledged_at=None, silence=None)


class Alert(models.Model):
    """One thing that is wrong: of one rule and one group there is one that is not over.

    ``count`` of ``total`` are concerned, of which ``sample`` names some: ``[{"name", "what", "key", "uid"}]``. ``text`` is
    `Message.as_json`. ``turn`` counts changes of state: each compares it, so that two processes never make the same one.
    ``silence`` is the one that keeps it from being sent now. ``notified_at`` is when it was handed to receivers last;
    ``cleared_since``, of a firing one, since when the condition has been gone.
    """

    class State(models.TextChoices):
        """Where it stands."""

        PENDING = "pending", _("Pending")
        FIRING = "firing", _("Firing")
        RESOLVED = "resolved", _("Resolved")

    rule = models.ForeignKey(
        AlertRule, on_delete=models.SET_NULL, null=True, related_name="alerts", verbose_name=_("rule")
    )
    rule_name = models.CharField(_("rule"), max_length=100)
    kind = models.CharField(_("kind"), max_length=40)
    severity = models.CharField(_("severity"), max_length=10, choices=AlertSeverity.choices)
    group_key = models.CharField(_("group"), max_length=300)
    labels = models.JSONField(_("labels"), default=dict)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.PENDING)
    text = models.JSONField(_("text"))
    count = models.PositiveIntegerField(_("count"), default=0)
    total = models.PositiveIntegerField(_("of"), null=True)
    sample = models.JSONField(_("some of them"), default=list)
    started_at = models.DateTimeField(_("since"))
    fired_at = models.DateTimeField(_("firing since"), null=True)
    last_at = models.DateTimeField(_("last seen"))
    cleared_since = models.DateTimeField(_("gone since"), null=True)
    resolved_at = models.DateTimeField(_("resolved at"), null=True)
    notified_at = models.DateTimeField(_("told at"), null=True)
    notices = models.PositiveIntegerField(_("notices"), default=0)
    silence = models.ForeignKey(
        Silence, on_delete=models.SET_NULL, null=True, related_name="alerts", verbose_name=_("silence")
    )
    acknowledged_at = models.DateTimeField(_("acknowledged at"), null=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", editable=False
    )
    acknowledged_by_name = models.CharField(_("acknowledged by"), max_length=150, blank=True)
    acknowledge_note = models.CharField(_("note"), max_length=500, blank=True)
    turn = models.PositiveIntegerField(default=0, editable=False)

    objects = AlertQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["state", "-id"], name="alert_state"),
            models.Index(fields=["rule", "-id"], name="alert_rule"),
            models.Index(fields=["resolved_at"], name="alert_resolved", condition=Q(state="resolved")),
            models.Index(fields=["id"], name="alert_firing", condition=Q(state="firing")),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "group_key"], condition=~Q(state="resolved"), name="one_open_alert_of_a_group"
            )
        ]

    def __str__(self) -> str:
        return f"{self.rule_name}: {self.group_words}" if self.group_words else self.rule_name

    @property
    def group_words(self) -> str:
        """What tells it from the other alerts of its rule; empty when there is one for all."""
        return self.group_key.partition("=")[2] if "=" in self.group_key else self.group_key

    @property
    def message(self) -> Message:
        """What it says."""
        return Message.from_json(self.text)

    def change(self, **values: Any) -> bool:
        """Change columns unless somebody else did meanwhile; false then, and nothing is changed."""
        changed = type(self).objects.filter(pk=self.pk, turn=self.turn).update(turn=self.turn + 1, **values)
        if changed:
            self.turn += 1
            for name, value in values.items():
                setattr(self, name, value)
            tell_changed("alerts.alert", self.pk)
        return bool(changed)

    def has_lasted(self, since: datetime | None, seconds: int, at: datetime) -> bool:
        """Whether ``seconds`` passed from ``since`` to ``at``; a time ahead of ``at`` is no measure of anything."""
        return since is not None and not is_ahead(since, at) and at - since >= timedelta(seconds=seconds)
