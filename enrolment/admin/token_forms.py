"""The forms that make an enrolment token and revoke one."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lifetimes import UnclearExpiry, parse_expiry
from accounts.services import Never
from agents.admin.bulk_actions import read_label_lines
from enrolment.models import LONGEST_NAME, LONGEST_REASON, MOST_USES, ApprovalRule
from enrolment.services.tokens import DEFAULT_DAYS, TokenWish
from foundation.clock import clock
from foundation.languages import in_readers_language

_LABEL_LINES = 20_000
WHO_SETS_APPROVAL = _("What is set for the portal is the server's variable ENROLMENT_APPROVAL.")


def approval_words(rule: str) -> str:
    """What a token's approval rule means for new agents, as the portal is set now."""
    words = str(ApprovalRule(rule).label)
    if rule != ApprovalRule.SITE:
        return words
    meant = ApprovalRule.ASK if settings.ENROLMENT_APPROVAL else ApprovalRule.SKIP
    return gettext("%(rule)s: %(meant)s") % {"rule": words, "meant": meant.label}


def _approval_choices() -> list[tuple[str, str]]:
    return [(rule, approval_words(rule)) for rule in ApprovalRule.values]


class EnrolmentTokenForm(forms.Form):
    """What a token shall be."""

    name = forms.CharField(
        label=_("Name"),
        max_length=LONGEST_NAME,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=_("Tells where it is used, such as edge-berlin. It never changes."),
    )
    label_lines = forms.CharField(
        label=_("Labels"),
        required=False,
        max_length=_LABEL_LINES,
        widget=forms.Textarea(attrs={"rows": 3, "class": "labels", "spellcheck": "false"}),
        help_text=_("One key=value a line, for the agents it brings. They win over what the agents report."),
    )
    max_uses = forms.IntegerField(
        label=_("Most agents"),
        required=False,
        min_value=1,
        max_value=MOST_USES,
        help_text=_("How many agents it may bring; empty for any number. One that comes back is not counted again."),
    )
    lifetime = forms.CharField(
        label=_("Expires"),
        initial=f"{DEFAULT_DAYS}d",
        required=False,
        max_length=40,
        help_text=_("A number of days such as 30d, a date such as 2030-01-31, or never."),
    )
    approval_rule = forms.ChoiceField(
        label=_("New agents"), choices=_approval_choices, initial=ApprovalRule.SITE, help_text=WHO_SETS_APPROVAL
    )

    def clean_label_lines(self) -> dict[str, str]:
        """The labels; a mistake is named with its line."""
        return read_label_lines(self.cleaned_data["label_lines"])

    def clean_lifetime(self) -> Any:
        """The end, ``None`` for none. Raises ValidationError that says how to write it."""
        try:
            end = parse_expiry(self.cleaned_data["lifetime"] or f"{DEFAULT_DAYS}d", at=clock.now())
        except UnclearExpiry as error:
            raise forms.ValidationError(in_readers_language(error)) from error
        return None if isinstance(end, Never) else end

    def wish(self) -> TokenWish:
        """What was asked for; the form is valid."""
        values = self.cleaned_data
        return TokenWish(
            name=values["name"],
            labels=values["label_lines"],
            expires_at=values["lifetime"],
            max_uses=values["max_uses"],
            approval_rule=values["approval_rule"],
        )


# By the field of a wish that a service refuses: the field of the form.
FIELDS = {
    "name": "name",
    "labels": "label_lines",
    "expires_at": "lifetime",
    "max_uses": "max_uses",
    "approval_rule": "approval_rule",
}


class RevokeForm(forms.Form):
    """Why a token is revoked."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=LONGEST_REASON,
        strip=False,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=_("One line that everybody sees who wonders."),
    )
