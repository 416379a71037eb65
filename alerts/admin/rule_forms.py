"""The forms of rules: one for each kind, with a field for each of its numbers."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from alerts.admin.shared import LabelQueryField, show_refusal
from alerts.models import AlertRule
from alerts.rule_kinds import KINDS, AlertKind
from alerts.services import rule_edits
from alerts.services.rule_edits import LONGEST_SECONDS
from alerts.subjects_firing import FiringSubject
from foundation.clock import clock
from foundation.errors import DomainError

_PREFIX = "parameter_"
_OF_AGENTS = ("selector", "query", "group_by", "group_label")


class RuleForm(forms.ModelForm[AlertRule]):
    """What is watched, and what is done about it."""

    actor: ClassVar[User | None] = None
    kind: ClassVar[AlertKind]

    selector = LabelQueryField(label=_("Agents"), help_text=_("By labels, such as env=prod; empty: all agents."))
    based_on = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = AlertRule
        fields = [
            "name", "description", "severity", "enabled", "selector", "query", "group_by", "group_label", "dwell_seconds",
            "clear_seconds", "repeat_seconds", "receivers",
        ]  # fmt: skip
        widgets = {
            "description": forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"}),
            "query": forms.TextInput(attrs={"class": "vTextField", "spellcheck": "false"}),
            "receivers": forms.CheckboxSelectMultiple,
        }
        help_texts = {"query": _("Beside labels, in the language of the list of agents; empty: all of them.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.preview: list[FiringSubject] | None = None
        if "receivers" in self.fields:
            self.fields["receivers"].widget.can_add_related = False
        for name in ("dwell_seconds", "clear_seconds", "repeat_seconds"):
            if name in self.fields:
                self.fields[name].widget.attrs |= {"min": 0, "max": LONGEST_SECONDS}
        if self.instance.pk:
            self.initial["based_on"] = self.instance.edition
            self.initial.update({f"{_PREFIX}{name}": value for name, value in self.instance.parameters.items()})
        else:
            self.initial.setdefault("name", str(self.kind.title))

    @property
    def parameters(self) -> dict[str, int]:
        """What was typed, by the name of the number."""
        return {
            name.removeprefix(_PREFIX): value
            for name, value in self.cleaned_data.items()
            if name.startswith(_PREFIX) and value is not None
        }

    def clean(self) -> dict[str, Any]:
        """Have the service save it, or look what it would find: what is refused is said here."""
        values = super().clean() or self.cleaned_data
        if self.errors:
            return values
        wanted = {name: values[name] for name in (*rule_edits.FIELDS, "receivers") if name in values}
        wanted |= {"kind": self.kind.name, "parameters": self.parameters}
        try:
            if "_preview" in self.data:
                self._look(wanted)
            else:
                self._save(wanted, values.get("based_on"))
        except DomainError as error:
            show_refusal(self, error)
        return values

    def is_valid(self) -> bool:
        """Not while it was only looked what fires: nothing is saved then."""
        return super().is_valid() and self.preview is None

    def _look(self, wanted: dict[str, Any]) -> None:
        """Show what fires now; the form stays open."""
        wanted.pop("receivers", None)
        self.preview = rule_edits.preview_rule(AlertRule(**wanted), clock.now(), by=self.actor)

    def _save(self, wanted: dict[str, Any], edition: int | None) -> None:
        if self.instance.pk:
            editions = None if edition is None else {edition}
            self.saved = rule_edits.update_rule(
                self.instance.pk, wanted, by=self.actor, at=clock.now(), editions=editions
            )
        else:
            self.saved = rule_edits.create_rule(wanted, by=self.actor, at=clock.now())

    def _post_clean(self) -> None:
        """The service has judged the row; Django would judge it once more, with other words."""


def rule_form_of(kind: AlertKind, base: type[Any], actor: User | None) -> type[Any]:
    """The form of this kind, on ``base``, which Django made of `RuleForm` for the person."""
    numbers = {
        f"{_PREFIX}{parameter.name}": forms.IntegerField(
            label=parameter.label,
            min_value=parameter.least,
            max_value=parameter.most,
            initial=parameter.default,
            help_text=parameter.help_text,
        )
        for parameter in kind.parameters
    }
    # ``None`` takes a declared field away.
    of_agents = {} if kind.of_agents else {"selector": None}
    return type(base.__name__, (base,), {"kind": kind, "actor": actor, **of_agents, **numbers})


def model_fields(kind: AlertKind | None) -> list[str]:
    """The columns of its form."""
    left_out = () if kind is None or kind.of_agents else _OF_AGENTS
    return [name for name in RuleForm.Meta.fields if name not in left_out]


def rule_fields(kind: AlertKind, *, changing: bool, writes: bool) -> list[Any]:
    """The sections of the form: what is watched, when it counts, who is told."""
    watched = [*_OF_AGENTS] if kind.of_agents else []
    numbers = [f"{_PREFIX}{parameter.name}" for parameter in kind.parameters] if writes else ["parameters"]
    edition = ["based_on"] if changing and writes else []
    return [
        (None, {"fields": ["name", "description", "severity", "enabled", *edition]}),
        (_("What is watched"), {"fields": [*numbers, *watched]}),
        (
            _("When it counts, and who is told"),
            {"fields": ["dwell_seconds", "clear_seconds", "repeat_seconds", "receivers"]},
        ),
    ]


def rule_kind_of(rule: AlertRule | None, name: str) -> AlertKind | None:
    """The kind of a rule, or of the one that is being made."""
    return KINDS.get(rule.kind if rule else name)
