"""The form of connection settings, section by section. What is wrong is said by the services, at its field."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from connections.admin.form_texts import (
    BY_CA,
    BY_SYSTEM,
    NOT_AT_ALL,
    SECTIONS,
    content_typed,
    fields_of,
    form_field_of,
)
from connections.content import OPAMP, warnings_of
from connections.errors import InvalidSettings
from connections.models import ConnectionSettings
from connections.services import settings_edits
from connections.services.settings_edits import FIELDS, newest_version
from connections.services.settings_reach import Reach, reach_of
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.form_fields import TypedJsonField
from foundation.languages import in_readers_language
from rollouts.admin.released_pages import TargetedForm
from rollouts.services.version_publishing import BY_DEFAULT, VersionPlan

_VERIFY = [
    ("", _("as the agent does by itself")),
    (BY_SYSTEM, _("by the authorities of its system")),
    (BY_CA, _("by the certificate below")),
    (NOT_AT_ALL, _("not at all (insecure)")),
]
_HEADERS = _("One in a line, as Name: value. A value shown as [redacted] stays as it is stored.")


def put_errors(form: forms.BaseForm, error: DomainError) -> None:
    """Put what a service said to its fields, or above the form."""
    if not isinstance(error, InvalidSettings):
        form.add_error(None, in_readers_language(error))
        return
    for path, texts in error.errors.items():
        name = form_field_of(path, form.fields)
        said = [in_readers_language(text) for text in texts]
        form.add_error(name, said if name in (path, None) else [f"{path.partition('.')[2]}: {text}" for text in said])


def _lines(rows: int) -> forms.Textarea:
    return forms.Textarea(attrs={"class": "labels", "rows": rows, "spellcheck": "false"})


def _section_fields(section: str) -> dict[str, forms.Field]:
    of_telemetry = f"https://otel.example:4318/v1/{section.removeprefix('own_')}"
    where = "wss://opamp.example/v1/opamp" if section == OPAMP else of_telemetry
    return {
        f"{section}_endpoint": forms.CharField(
            label=_("Endpoint"),
            max_length=2_000,
            required=False,
            widget=forms.TextInput(attrs={"class": "vLargeTextField", "placeholder": where}),
            help_text=_("The whole URL with its path; empty: nothing is told."),
        ),
        f"{section}_headers": forms.CharField(
            label=_("Headers"), max_length=300_000, required=False, widget=_lines(2), help_text=_HEADERS
        ),
        f"{section}_verify": forms.ChoiceField(label=_("The server is verified"), choices=_VERIFY, required=False),
        f"{section}_ca_pem": forms.CharField(
            label=_("Certificate of its authority (PEM)"), max_length=70_000, required=False, widget=_lines(2)
        ),
        f"{section}_proxy": forms.CharField(
            label=_("Proxy"), max_length=2_000, required=False, help_text=_("A URL, or host:port.")
        ),
    }


class _OtherConnectionsField(TypedJsonField):
    """Empty where there are none, instead of ``null``."""

    def prepare_value(self, value: Any) -> Any:
        return "" if value is None else super().prepare_value(value)


class SettingsForm(TargetedForm):
    """Who should be connected where. Saved only once it is confirmed: with ``saves``, by ``plan``."""

    actor: ClassVar[User | None] = None
    saves: ClassVar[bool] = False
    plan: ClassVar[VersionPlan] = BY_DEFAULT

    opamp_heartbeat_seconds = forms.IntegerField(
        label=_("Heartbeat (seconds)"),
        required=False,
        help_text=_("Also how often agents poll; empty: as the site has it."),
    )
    opamp_keep_credentials = forms.BooleanField(
        label=_("What lets an agent in now goes along"),
        required=False,
        initial=True,
        help_text=_("Its own credential, or the header it came with, unless a header above takes its place."),
    )
    other_connections = _OtherConnectionsField(
        label=_("Other connections"),
        required=False,
        widget=_lines(4),
        help_text=_("JSON: by name, each with endpoint, headers, other_settings, tls, proxy."),
    )
    note = forms.CharField(label=_("Note"), max_length=500, required=False, help_text=_("Kept with the new version."))

    class Meta:
        model = ConnectionSettings
        fields = ["name", "description", "selector", "match_all", "priority", "enabled"]
        widgets = {"description": forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"})}
        help_texts = {"match_all": _("Only without a selector.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.shown: dict[str, Any] = {}
        if self.instance.pk:
            self.shown = newest_version(self.instance).shown
            self.initial = {**self.initial, **fields_of(self.shown), "based_on": self.instance.edition}
            others = self.shown.get("other_connections")
            self.initial["other_connections"] = others or None
            if "name" in self.fields:
                self.fields["name"].disabled = True

    def clean(self) -> dict[str, Any]:
        """Have the service judge it, or save it: what it refuses is said here."""
        values = super().clean() or self.cleaned_data
        if self.errors:
            return values
        wanted = {name: values[name] for name in FIELDS if name in values}
        wanted["content"] = content_typed(values, self.shown)
        try:
            if self.saves:
                self._save(wanted, values)
            else:
                self._judge(wanted, values)
        except DomainError as error:
            put_errors(self, error)
        return values

    def _save(self, wanted: dict[str, Any], values: dict[str, Any]) -> None:
        at = clock.now()
        if self.instance.pk:
            self.saved = settings_edits.update_settings(
                self.instance.pk,
                wanted,
                by=self.actor,
                at=at,
                editions=self.editions(),
                note=values.get("note") or "",
                plan=self.plan,
            )
        else:
            wanted["name"] = values["name"]
            self.saved = settings_edits.create_settings(
                wanted, by=self.actor, at=at, note=values.get("note") or "", plan=self.plan
            )

    def _judge(self, wanted: dict[str, Any], values: dict[str, Any]) -> None:
        """Whom it would reach, with nothing saved."""
        newest = newest_version(self.instance) if self.instance.pk else None
        row = ConnectionSettings(name=values.get("name") or self.instance.name)
        for name in FIELDS:
            setattr(row, name, wanted.get(name, getattr(self.instance, name)))
        content = settings_edits.judged_settings(row, wanted["content"], newest)
        self.reach: Reach = reach_of(row, row.parsed_selector(), content)
        self.warnings = warnings_of(content, clock.now())


for _section in SECTIONS:
    for _name, _field in _section_fields(_section).items():
        SettingsForm.base_fields[_name] = _field
        SettingsForm.declared_fields[_name] = _field


class MoveForm(forms.Form):
    """Where agents should go."""

    opamp_endpoint = _section_fields(OPAMP)["opamp_endpoint"]
    opamp_headers = _section_fields(OPAMP)["opamp_headers"]
    opamp_keep_credentials = forms.BooleanField(
        label=_("What lets an agent in now goes along"),
        required=False,
        help_text=_("Its own credential, or the header it came with, unless a header above takes its place."),
    )
    opamp_heartbeat_seconds = forms.IntegerField(label=_("Heartbeat (seconds)"), required=False)
    opamp_verify = _section_fields(OPAMP)["opamp_verify"]
    opamp_ca_pem = _section_fields(OPAMP)["opamp_ca_pem"]
    opamp_proxy = _section_fields(OPAMP)["opamp_proxy"]
    note = forms.CharField(label=_("Note"), max_length=500, required=False)

    def member(self, shown: dict[str, Any]) -> Any:
        """The ``opamp`` member that was typed; nothing without an endpoint, which is refused."""
        return content_typed(self.cleaned_data, shown).get(OPAMP, {})
