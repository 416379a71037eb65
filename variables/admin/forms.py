"""The forms of variables and of secrets. What a change does to agents is counted first, and saved when it was seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from agents.admin import typed_count
from agents.admin.selector_fields import SelectorFormField, SelectorRows
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.languages import in_readers_language
from variables.models import Secret, Variable
from variables.services import value_edits
from variables.services.value_edits import Change, InvalidValue

SEEN = "seen"
REPLACE = "replace_rollout"


class ValueForm(forms.ModelForm[Any]):
    """Judged by the service. After validation ``counted`` is what saving would do, ``asks`` whether that has to be seen first."""

    actor: ClassVar[User | None] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.counted: Change | None = None
        self.asks = False
        self.refusal: str | None = None

    @property
    def replaces(self) -> bool:
        """Whether rollouts in the way are to be ended."""
        return bool(self.data.get(REPLACE))

    def values(self) -> dict[str, Any]:
        """The columns as the service takes them."""
        return {key: value for key, value in self.cleaned_data.items() if key in self.fields}

    def save_through_service(self, *, dry_run: bool) -> Change:
        """Raises `InvalidValue` and `InUse`."""
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        """Have the service try it; its messages go to their fields."""
        values = super().clean() or self.cleaned_data
        if self.errors:
            return values
        try:
            self.counted = self.save_through_service(dry_run=True)
        except InvalidValue as error:
            self._tell(error.errors)
        except DomainError as error:
            self.add_error(None, in_readers_language(error))
        else:
            self._ask(self.counted)
        return values

    def _post_clean(self) -> None:
        """The service has judged the row; Django would judge it once more, with other words."""

    def _ask(self, counted: Change) -> None:
        concerned = any(effect.changes or effect.failures or effect.obstacle for effect in counted.effects)
        if not concerned:
            return
        if self.data.get(SEEN):
            self.refusal = typed_count.problem_of(self.data, counted.agents)  # type: ignore[arg-type]  # a QueryDict
            if counted.obstructed and not self.replaces:
                self.refusal = gettext("A rollout is in the way: wait for it, or have it ended; see below.")
        self.asks = not self.data.get(SEEN) or self.refusal is not None
        if self.asks:
            self.add_error(
                None, self.refusal or gettext("Agents get other files with this: look below, then save again.")
            )

    def _tell(self, errors: Mapping[str, Any]) -> None:
        for field, texts in errors.items():
            said = [in_readers_language(text) for text in texts]
            if field in self.fields:
                self.add_error(field, said)
            else:
                self.add_error(None, [f"{field}: {text}" for text in said])


class VariableForm(ValueForm):
    """One value, and the agents it is for."""

    selector = SelectorFormField(widget=SelectorRows)

    class Meta:
        model = Variable
        fields = ["name", "value", "selector", "match_all", "priority", "description"]
        widgets = {
            "value": forms.Textarea(attrs={"class": "code short", "rows": 3, "spellcheck": "false"}),
            "description": forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"}),
        }
        help_texts = {"match_all": _("Only without a selector.")}

    def clean_priority(self) -> int:
        """Zero when nothing is written."""
        return int(self.cleaned_data["priority"] or 0)

    def save_through_service(self, *, dry_run: bool) -> Change:
        """See `ValueForm`."""
        row = self.instance if self.instance.pk else None
        return value_edits.save_variable(
            row, self.values(), by=self.actor, at=clock.now(), dry_run=dry_run, replace=self.replaces
        )


class SecretForm(ValueForm):
    """The value is typed in, and never shown."""

    value = forms.CharField(
        label=capfirst(_("value")),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"class": "code short", "rows": 3, "spellcheck": "false", "autocomplete": "off"}),
        help_text=_("Never shown again. Of a secret that is there it stays when you leave this empty."),
    )

    class Meta:
        model = Secret
        fields = ["name", "description"]
        widgets = {"description": forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"})}

    field_order = ["name", "value", "description"]

    def clean_value(self) -> str:
        """Browsers end lines their own way."""
        return str(self.cleaned_data["value"] or "").replace("\r\n", "\n")

    def values(self) -> dict[str, Any]:
        """Without a value where none was typed."""
        found = super().values()
        if not found.get("value"):
            found.pop("value", None)
        return found

    def save_through_service(self, *, dry_run: bool) -> Change:
        """See `ValueForm`."""
        row = self.instance if self.instance.pk else None
        return value_edits.save_secret(
            row, self.values(), by=self.actor, at=clock.now(), dry_run=dry_run, replace=self.replaces
        )
