"""Rows about what is watched."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from agents.selectors import Selector, parse_selector
from alerts.models.visible import SeenByRight


class AlertSeverity(models.TextChoices):
    """How much it matters, the least first."""

    INFO = "info", _("Information")
    WARNING = "warning", _("Warning")
    CRITICAL = "critical", _("Critical")

    @classmethod
    def at_least(cls, least: str) -> list[str]:
        """Those that matter as much as ``least``, or more."""
        return cls.values[cls.values.index(least) :]


class AlertRuleQuerySet(SeenByRight):
    """The vocabulary of reading rules."""


class AlertRule(models.Model):
    """One condition that is looked at every few seconds, and what is done about it.

    ``kind`` names a class of `alerts.rule_kinds`, ``parameters`` are the numbers it takes. ``dwell_seconds``: the condition has to
    hold for so long before anybody is told; ``clear_seconds``: it has to be gone for so long before the alert counts as resolved,
    so that what comes and goes is one alert. ``group_by`` says what is one alert: all of it, the agents of each value of
    ``group_label``, or those of each configuration. Without receivers of its own a rule has the default ones. ``edition`` counts
    edits.
    """

    class Grouping(models.TextChoices):
        """What is one alert."""

        RULE = "rule", _("One alert for all")
        LABEL = "label", _("One for each value of a label")
        CONFIGURATION = "configuration", _("One for each configuration")

    name = models.CharField(_("name"), max_length=100, unique=True)
    description = models.TextField(
        _("description"), blank=True, max_length=2_000, help_text=_("What to do about it; it stands in each notice.")
    )
    kind = models.CharField(_("kind"), max_length=40)
    parameters = models.JSONField(_("parameters"), default=dict, blank=True)
    selector = models.JSONField(_("selector"), default=dict, blank=True)
    query = models.CharField(_("query"), max_length=2_000, blank=True)
    severity = models.CharField(
        _("severity"), max_length=10, choices=AlertSeverity.choices, default=AlertSeverity.WARNING
    )
    enabled = models.BooleanField(_("enabled"), default=True)
    dwell_seconds = models.PositiveIntegerField(
        _("for (seconds)"), default=60, help_text=_("It has to hold for so long before anybody is told.")
    )
    clear_seconds = models.PositiveIntegerField(
        _("clear for (seconds)"), default=60, help_text=_("It has to be gone for so long before it is resolved.")
    )
    repeat_seconds = models.PositiveIntegerField(
        _("repeat every (seconds)"),
        default=4 * 3600,
        help_text=_("Until somebody acknowledges it; 0: it is told once."),
    )
    group_by = models.CharField(_("grouping"), max_length=16, choices=Grouping.choices, default=Grouping.RULE)
    group_label = models.CharField(_("label to group by"), max_length=255, blank=True)
    receivers: models.ManyToManyField[Any, Any] = models.ManyToManyField(
        "Receiver",
        blank=True,
        related_name="rules",
        verbose_name=_("receivers"),
        help_text=_("None: the default receivers. The bell of the portal shows all alerts."),
    )
    # Why it could not be evaluated last time; empty when it could.
    problem = models.JSONField(_("problem"), null=True, blank=True, editable=False)
    evaluated_at = models.DateTimeField(_("evaluated at"), null=True, editable=False)
    edition = models.PositiveIntegerField(_("edition"), default=1, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())

    objects = AlertRuleQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert rule")
        verbose_name_plural = _("alert rules")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def parsed_selector(self) -> Selector:
        """The agents it watches, of those that ``query`` asks for; nothing written is all. It was valid when it was saved."""
        return parse_selector(self.selector, match_all=not self.selector)

    def number(self, name: str) -> int:
        """A parameter, which was checked when it was saved."""
        value: Any = self.parameters[name]
        return int(value)
