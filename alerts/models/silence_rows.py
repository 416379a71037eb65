"""Rows about what is not told for a while."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from agents.selectors import Selector, parse_selector
from alerts.models.rule_rows import AlertRule, AlertSeverity
from alerts.models.visible import SeenByRight


class SilenceQuerySet(SeenByRight):
    """The vocabulary of reading silences."""

    def active(self, at: datetime) -> Self:
        """Those that hold at ``at``."""
        return self.filter(ended_at=None, starts_at__lte=at, expires_at__gt=at)


class Silence(models.Model):
    """Alerts that it matches are shown and not sent until it expires. Matchers that are empty match everything.

    The selector is held against the labels of the alert, and against its agents: it matches when all of them match.
    """

    rule = models.ForeignKey(
        AlertRule, on_delete=models.CASCADE, null=True, blank=True, related_name="silences", verbose_name=_("rule")
    )
    severity = models.CharField(_("severity"), max_length=10, choices=AlertSeverity.choices, blank=True)
    selector = models.JSONField(_("selector"), default=dict, blank=True)
    note = models.CharField(_("note"), max_length=500)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", editable=False
    )
    author_name = models.CharField(_("author"), max_length=150)
    starts_at = models.DateTimeField(_("since"))
    expires_at = models.DateTimeField(_("until"), db_index=True)
    ended_at = models.DateTimeField(_("ended at"), null=True)
    ended_by_name = models.CharField(_("ended by"), max_length=150, blank=True)

    objects = SilenceQuerySet.as_manager()

    class Meta:
        verbose_name = _("silence")
        verbose_name_plural = _("silences")
        ordering = ["-pk"]

    def __str__(self) -> str:
        return str(self.note)

    def parsed_selector(self) -> Selector:
        """As a value; it was valid when it was saved."""
        return parse_selector(self.selector, match_all=not self.selector)

    def is_active(self, at: datetime) -> bool:
        """Whether it holds at ``at``."""
        return self.ended_at is None and self.starts_at <= at < self.expires_at
