"""The form of silences."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from alerts.admin.shared import LabelQueryField
from alerts.models import AlertRule, AlertSeverity
from foundation.clock import clock

_HOURS = (
    ("1", _("for an hour")),
    ("4", _("for 4 hours")),
    ("24", _("for a day")),
    ("168", _("for a week")),
    ("720", _("for 30 days")),
)


class SilenceForm(forms.Form):
    """Which alerts, why and how long."""

    rule: forms.ModelChoiceField[AlertRule] = forms.ModelChoiceField(
        AlertRule.objects.all(), label=_("Rule"), required=False, empty_label=_("every rule")
    )
    severity = forms.ChoiceField(
        label=_("Severity"), required=False, choices=[("", _("every severity")), *AlertSeverity.choices]
    )
    selector = LabelQueryField(
        label=_("Labels"), help_text=_("Of the alert, or of all its agents; empty: whatever their labels are.")
    )
    note = forms.CharField(
        label=_("Reason"),
        max_length=500,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=_("One line that everybody sees who wonders."),
    )
    hours = forms.ChoiceField(label=_("How long"), choices=_HOURS)

    @property
    def expires_at(self) -> datetime:
        """The end that was chosen, counted from now."""
        return clock.now() + timedelta(hours=int(self.cleaned_data["hours"]))

    def wanted(self) -> dict[str, Any]:
        """As the service takes it."""
        names = ("rule", "severity", "selector", "note")
        return {**{name: self.cleaned_data[name] for name in names}, "expires_at": self.expires_at}
