"""Forms that ask why something is held, and for how long; other apps' forms are built on them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.selectors import InvalidSelector, parse_label_query
from foundation.clock import clock
from foundation.languages import in_readers_language
from rollouts.audiences import Matching
from rollouts.reasons import LONGEST_REASON, InvalidReason, checked_reason

_HOURS = (
    ("", gettext_lazy("until somebody ends it")),
    ("1", gettext_lazy("for an hour")),
    ("4", gettext_lazy("for 4 hours")),
    ("24", gettext_lazy("for a day")),
    ("168", gettext_lazy("for a week")),
    ("720", gettext_lazy("for 30 days")),
)


class HoldingForm(forms.Form):
    """Why, and for how long."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=LONGEST_REASON,
        strip=False,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=gettext_lazy("One line that everybody sees who wonders."),
    )
    hours = forms.ChoiceField(label=gettext_lazy("How long"), required=False, choices=_HOURS)

    def clean_reason(self) -> str:
        """As the services keep it."""
        try:
            return checked_reason(self.cleaned_data["reason"])
        except InvalidReason as error:
            raise forms.ValidationError(in_readers_language(error)) from error

    def clean_hours(self) -> int | None:
        """A number, if there is an end."""
        return int(self.cleaned_data["hours"]) if self.cleaned_data["hours"] else None

    @property
    def expires_at(self) -> datetime | None:
        """The end that was chosen, counted from now."""
        return expiry_of(self.cleaned_data, clock.now())


def expiry_of(values: Any, at: datetime) -> datetime | None:
    """The end by the cleaned values of a `HoldingForm`."""
    hours = values["hours"]
    return at + timedelta(hours=hours) if hours else None


class SelectorFreezeForm(HoldingForm):
    """Which agents, why, and for how long."""

    query = forms.CharField(
        label=gettext_lazy("Labels"),
        max_length=2_000,
        widget=forms.TextInput(attrs={"class": "vTextField", "spellcheck": "false", "placeholder": "env=prod"}),
        help_text=gettext_lazy("Such as env=prod, os.type in (linux, windows)"),
    )
    field_order = ("query", "reason", "hours")

    def clean_query(self) -> Matching:
        """The selector; a mistake is named with its place."""
        try:
            selector = parse_label_query(self.cleaned_data["query"])
        except InvalidSelector as error:
            raise forms.ValidationError([in_readers_language(problem) for problem in error.problems]) from error
        if not selector.requirements:
            raise forms.ValidationError(_("Name a label; above is the switch for the whole fleet."))
        return Matching(selector)
