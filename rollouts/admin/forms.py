"""How something goes out, as a form beside the confirmation of whatever it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from foundation.languages import in_readers_language
from rollouts.admin.descriptions import policy_words, stage_typed, stages_typed
from rollouts.errors import InvalidPolicy
from rollouts.gates import StageGate
from rollouts.policies import CANARY, OnGateFailure, Policy, parse_policy
from rollouts.windows import DAYS

AS_SET, AT_ONCE, STAGED = "as_set", "at_once", "staged"
_DAY_NAMES = (
    _("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday"), _("Saturday"), _("Sunday"),
)  # fmt: skip
_GATE_FIELDS = tuple(StageGate().as_json())


class ReleaseForm(forms.Form):
    """``policy`` after validation: how it goes out, `None` for at once. All names begin with ``release``.

    ``default`` is the policy that holds when nobody chooses.
    """

    how = forms.ChoiceField(label=_("How it goes out"), widget=forms.RadioSelect, required=False)
    stages = forms.CharField(
        label=_("Stages"),
        required=False,
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 4, "class": "labels", "spellcheck": "false"}),
        help_text=_(
            "One in a line: 5%, a number of agents, or labels such as env=canary; a name may stand before it (first: 5%). "
            "Everybody else comes last. A stage that stays as it is keeps a gate of its own."
        ),
    )
    applied_percent = forms.IntegerField(label=_("Have applied it, at least (%)"), required=False)
    failed_max = forms.IntegerField(label=_("Failures, at most"), required=False)
    healthy_percent = forms.IntegerField(label=_("Healthy after that, at least (%)"), required=False)
    disconnected_percent_max = forms.IntegerField(label=_("Disconnected, at most (%)"), required=False)
    dwell_seconds = forms.IntegerField(label=_("All that for so many seconds"), required=False)
    timeout_seconds = forms.IntegerField(label=_("Failed after so many seconds"), required=False)
    max_in_flight = forms.IntegerField(
        label=_("Agents in flight, at most"), required=False, help_text=_("0: no limit.")
    )
    on_gate_failure = forms.ChoiceField(
        label=_("When a gate fails"),
        required=False,
        choices=[(OnGateFailure.PAUSE.value, _("pause")), (OnGateFailure.ROLL_BACK.value, _("roll back"))],
    )
    approval = forms.BooleanField(label=_("A second person has to approve it"), required=False)
    window_from = forms.CharField(
        label=_("Only from"), required=False, max_length=5, widget=forms.TextInput(attrs={"placeholder": "22:00"})
    )
    window_to = forms.CharField(
        label=_("to"), required=False, max_length=5, widget=forms.TextInput(attrs={"placeholder": "04:00"})
    )
    window_timezone = forms.CharField(
        label=_("Time zone"), required=False, max_length=64, widget=forms.TextInput(attrs={"placeholder": "UTC"})
    )
    window_days = forms.MultipleChoiceField(
        label=_("On"),
        required=False,
        choices=list(zip(DAYS, _DAY_NAMES, strict=True)),
        widget=forms.CheckboxSelectMultiple,
    )
    replace = forms.BooleanField(label=_("End the rollout that is on its way"), required=False)
    remember = forms.BooleanField(label=_("Let this be the way for later revisions too"), required=False)

    def __init__(self, data: Any = None, *, default: Policy | None, may_remember: bool = True) -> None:
        shown = default or CANARY
        # A page without it, or one before it, has chosen nothing.
        sent = data if data is not None and "release-how" in data else None
        super().__init__(sent, prefix="release", initial=_initial(shown), use_required_attribute=False, label_suffix="")
        choices: list[tuple[str, Any]] = [(AS_SET, _("As it is set: %(how)s") % {"how": policy_words(default)})]
        if default is not None:
            choices.append((AT_ONCE, _("At once")))
        choices.append((STAGED, _("In stages")))
        how = self.fields["how"]
        assert isinstance(how, forms.ChoiceField)  # noqa: S101  as declared
        how.choices = choices
        self.initial["how"] = AS_SET
        if not may_remember:
            del self.fields["remember"]
        self.default = default
        self.own_gates = {stage_typed(stage): stage.gate for stage in shown.stages}
        self.policy: Policy | None = default

    @property
    def is_usable(self) -> bool:
        """Whether ``policy`` holds: it was chosen and is one, or nothing was chosen."""
        return not self.is_bound or self.is_valid()

    def sent_names(self) -> list[str]:
        """The names under which its fields are sent."""
        return [self.add_prefix(name) for name in self.fields]

    @property
    def gate_fields(self) -> list[forms.BoundField]:
        """What is asked of each stage."""
        return [self[name] for name in _GATE_FIELDS]

    def clean(self) -> dict[str, Any]:
        """Have the policy judged as a whole; what is wrong stands above the form."""
        values = super().clean() or self.cleaned_data
        if self.errors:
            return values
        how = values.get("how") or AS_SET
        if how == AS_SET:
            self.policy = self.default
        elif how == AT_ONCE:
            self.policy = None
        else:
            try:
                typed = parse_policy(_policy_typed(values))
            except InvalidPolicy as error:
                raise ValidationError(in_readers_language(error)) from error
            assert typed is not None  # noqa: S101  it has stages
            stages = (replace(stage, gate=self.own_gates.get(stage_typed(stage))) for stage in typed.stages)
            self.policy = replace(typed, stages=tuple(stages))
        return values


def _policy_typed(values: dict[str, Any]) -> dict[str, Any]:
    """What `parse_policy` takes. Raises `InvalidPolicy`."""
    window = None
    if values.get("window_from") or values.get("window_to"):
        window = {"from": values.get("window_from"), "to": values.get("window_to")}
        window |= {"timezone": values["window_timezone"]} if values.get("window_timezone") else {}
        window |= {"days": values["window_days"]} if values.get("window_days") else {}
    return {
        "stages": stages_typed(values.get("stages") or ""),
        "gate": {name: values[name] for name in _GATE_FIELDS if values.get(name) is not None},
        "max_in_flight": values.get("max_in_flight") or 0,
        "window": window,
        "approval": bool(values.get("approval")),
        "on_gate_failure": values.get("on_gate_failure") or OnGateFailure.PAUSE.value,
    }


def _initial(policy: Policy) -> dict[str, Any]:
    window = policy.window.as_json() if policy.window is not None else {}
    return {
        "stages": "\n".join(stage_typed(stage) for stage in policy.stages),
        **policy.gate.as_json(),
        "max_in_flight": policy.max_in_flight,
        "on_gate_failure": policy.on_gate_failure.value,
        "approval": policy.approval,
        "window_from": window.get("from", ""),
        "window_to": window.get("to", ""),
        "window_timezone": window.get("timezone", ""),
        "window_days": window.get("days", []),
    }
