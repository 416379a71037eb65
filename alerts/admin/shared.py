"""What the pages of alerts have in common: pills, doing something and saying what came of it, rows that nobody types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.base_admin import PortalAdmin
from accounts.models import User
from agents.selectors import InvalidSelector, parse_label_query, parse_selector
from alerts.bell import bell
from alerts.errors import InvalidAlerting
from alerts.models import Alert, AlertDelivery, AlertSeverity
from foundation.errors import DomainError
from foundation.languages import in_readers_language

_SEVERITIES = {
    AlertSeverity.INFO: ("disconnected", "i"),
    AlertSeverity.WARNING: ("configuring", "!"),
    AlertSeverity.CRITICAL: ("error", "‼"),
}
_STATES = {
    Alert.State.PENDING: ("configuring", "◔"),
    Alert.State.FIRING: ("error", "●"),
    Alert.State.RESOLVED: ("connected", "✔"),
}
_DELIVERIES = {
    AlertDelivery.State.WAITING: ("configuring", "◔"),
    AlertDelivery.State.SENDING: ("configuring", "▶"),
    AlertDelivery.State.SENT: ("connected", "✔"),
    AlertDelivery.State.FAILED: ("error", "✖"),
}


def severity_pill(severity: str) -> SafeString:
    """As text and sign."""
    return _pill(*_SEVERITIES[AlertSeverity(severity)], AlertSeverity(severity).label)


def alert_state_pill(alert: Alert) -> SafeString:
    """As text and sign."""
    state = Alert.State(alert.state)
    return _pill(*_STATES[state], state.label)


def delivery_pill(delivery: AlertDelivery) -> SafeString:
    """As text and sign."""
    state = AlertDelivery.State(delivery.state)
    return _pill(*_DELIVERIES[state], state.label)


def _pill(look: str, sign: str, word: Any) -> SafeString:
    return format_html('<span class="pill pill-{}"><span aria-hidden="true">{}</span> {}</span>', look, sign, word)


class NobodyTypes(PortalAdmin):
    """Rows that are shown and not edited: acts have forms of their own."""

    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Not by a form of rows."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are what happened."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """They stay until they are old."""
        return False


def show_refusal(form: forms.BaseForm, error: DomainError) -> None:
    """Put what a service said to its fields, or above the form."""
    if not isinstance(error, InvalidAlerting):
        form.add_error(None, in_readers_language(error))
        return
    for name, texts in error.errors.items():
        # A parameter of a rule is a field of the form.
        field = name.replace("parameters.", "parameter_")
        form.add_error(field if field in form.fields else None, [in_readers_language(text) for text in texts])


def do(request: HttpRequest, act: Callable[[User], Any], done: Any) -> bool:
    """Do it, and say what was done or why not; returns whether it was done."""
    try:
        act(cast("User", request.user))
    except DomainError as error:
        texts = error.errors.values() if isinstance(error, InvalidAlerting) else [[error.message]]
        for said in [text for each in texts for text in each]:
            messages.error(request, in_readers_language(said))
        return False
    bell.forget()
    messages.success(request, done)
    return True


class LabelQueryField(forms.CharField):
    """A selector as people type it: ``env=prod, os.type in (linux, windows)``; nothing typed is the empty selector."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            required=False,
            max_length=2_000,
            widget=forms.TextInput(attrs={"class": "vTextField", "spellcheck": "false", "placeholder": "env=prod"}),
            **options,
        )

    def prepare_value(self, value: Any) -> Any:
        """A stored selector as text."""
        if isinstance(value, dict):
            return str(parse_selector(value).words) if value else ""
        return value

    def clean(self, value: Any) -> Any:
        """The stored form; a mistake is named with its place."""
        text = super().clean(value)
        try:
            selector = parse_label_query(text)
        except InvalidSelector as error:
            raise forms.ValidationError([in_readers_language(problem) for problem in error.problems]) from error
        return selector.as_json() if selector.requirements else {}
