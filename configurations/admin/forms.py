"""The configuration form: what a person wrote, as a draft. Who publishes judges it, so every entry point says the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from agents.admin import typed_count
from agents.admin.selector_fields import SelectorFormField
from agents.remote_config import RemoteConfig
from configurations.admin.file_forms import FileForms, as_shown
from configurations.admin.reach_seen import confirmation_refusal
from configurations.admin.starting_pages import starting_fields
from configurations.models import Configuration, ConfigurationDraft
from configurations.previewing import Preview, preview
from configurations.services.draft_errors import StaleDraft, configuration_deleted, refuse_masked
from configurations.services.draft_saving import draft_in, savable
from configurations.services.drafts import Draft, InvalidConfiguration, draft_of
from configurations.services.file_edits import with_main_file
from configurations.services.forcing import may_force
from configurations.services.publishing import Effect, ReleasePlan, default_policy, effect_of
from configurations.starting_points import StartingPoint
from foundation.errors import DomainError
from foundation.languages import in_readers_language
from rollouts.admin.forms import AT_ONCE, ReleaseForm

EDIT, PUBLISH, ADD_FILE = "edit", "publish", "add_file"
# Save what was typed: as a draft or in the one that is open, over what somebody else saved in it, or as another one.
SAVE_DRAFT, SAVE_OVER, SAVE_OTHER = "save_draft", "save_draft_over", "save_draft_other"
DRAFT_STAGES = frozenset({SAVE_DRAFT, SAVE_OVER, SAVE_OTHER})


def new_files(draft: Draft, current_hash: str) -> bool:
    """Whether agents that run the configuration already would be offered something else."""
    return RemoteConfig(dict(draft.files)).config_hash().hex() != current_hash


class ConfigurationForm(forms.ModelForm[Configuration]):
    """The draft, in three stages: sent first it only asks for confirmation, ``edit`` comes back from there, ``publish`` saves.

    `DRAFT_STAGES` keep it as a saved draft instead. ``saved`` is the one that is open in the form,
    ``start`` what a new configuration begins as.

    After validation ``found`` is what publishing would do, ``changing`` the number of agents for whom something changes.
    """

    selector = SelectorFormField()
    note = forms.CharField(
        label=_("Note for the revision"),
        required=False,
        max_length=500,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )
    force = forms.BooleanField(
        label=_("Force it: publish it although it is blocked. I mean it like that."),
        required=False,
    )
    expected_revision = forms.IntegerField(required=False, widget=forms.HiddenInput)
    expected_edition = forms.IntegerField(required=False, widget=forms.HiddenInput)
    # Who fills it in, and which saved draft; each request has a class of its own.
    editor: User | None = None
    saved: ConfigurationDraft | None = None
    start: StartingPoint | None = None

    class Meta:
        model = Configuration
        fields = ["name", "kind", "display_name", "description", "priority", "enabled", "selector", "match_all"]
        widgets = {
            "description": forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"}),
        }
        help_texts = {
            "enabled": _("A disabled configuration keeps its revisions and matches no agent."),
            "match_all": _("Only without a selector."),
        }

    def __init__(self, data: QueryDict | None = None, *args: Any, **kwargs: Any) -> None:
        if data is not None and data.get("rebase"):
            # The person has seen the newer state and publishes over it.
            data = data.copy()
            data["expected_revision"] = data.get("rebase", "")
            data["expected_edition"] = data.get("present_edition", "")
        if self.saved is not None:
            kwargs["initial"] = {**(kwargs.get("initial") or {}), **_as_saved(self.saved)}
        elif self.start is not None:
            kwargs["initial"] = {**(kwargs.get("initial") or {}), **starting_fields(self.start)}
        super().__init__(data, *args, **kwargs)
        if "kind" in self.fields:
            # Without it, a whole.
            self.fields["kind"].required = False
        self.stage = "" if data is None else data.get("stage", "")
        self.release = ReleaseForm(data, default=default_policy(self.instance))
        present = draft_of(self.instance) if self.instance.pk else Draft()
        self.base = (present if self.saved is None else draft_in(self.saved)).edited_by(self.editor)
        begun = "" if self.start is None else self.start.text
        self.file_forms = FileForms(data, self.base, more=self.stage == ADD_FILE, begun=begun)
        if self.instance.pk and "expected_revision" in self.fields:
            current = self.instance.current
            self.fields["expected_revision"].initial = current.number if current else 0
            self.fields["expected_edition"].initial = self.instance.edition
        self.found: Preview | None = None
        self.changing = 0
        self.effect: Effect | None = None
        self.stale: int | None = None
        self.present_edition = 0
        self.refusal: str | None = None
        self.can_be_forced = False
        self.draft_edition = self._draft_edition()
        self.draft_overtaken = False

    def is_valid(self) -> bool:
        """Only a confirmed form is saved; a complete one that is not gets its confirmation page."""
        if not super().is_valid() or self.stage != PUBLISH:
            return False
        posted = self.data if isinstance(self.data, QueryDict) else QueryDict()
        self.refusal = typed_count.problem_of(posted, self.changing)
        if self.refusal is None and self.found is not None:
            self.refusal = confirmation_refusal(self.found, posted)
        return self.release.is_usable and self.refusal is None

    def plan(self) -> ReleasePlan:
        """How it is to be released; the form has been found valid."""
        replace = self.release.is_bound and self.release.cleaned_data["replace"]
        return ReleasePlan(self.release.policy, replace=replace)

    @property
    def new_files(self) -> bool:
        """Whether agents that run it already get something else."""
        return self.effect is None or self.effect.files

    def clean_display_name(self) -> str:
        """As it is stored, unless it was edited."""
        return as_shown(self.initial.get("display_name") or "", self.cleaned_data["display_name"])

    def clean_description(self) -> str:
        """As it is stored, unless it was edited."""
        return as_shown(self.initial.get("description") or "", self.cleaned_data["description"])

    def draft(self) -> Draft:
        """What the form says, over the present state, with its hidden values. Raises `InvalidConfiguration`."""
        return self._typed().restored()

    def _typed(self) -> Draft:
        values = self.cleaned_data
        drafted = replace(self.file_forms.drafted(self.base), kind=values.get("kind") or self.base.kind)
        if drafted.kind == Configuration.Kind.FRAGMENT and not self.instance.pk and not drafted.config_key:
            # Nobody chose a key, and the empty one is the usual one of wholes.
            drafted = with_main_file(drafted, values.get("name") or "")
        return replace(
            drafted,
            display_name=values.get("display_name") or "",
            description=values.get("description") or "",
            priority=values.get("priority") or 0,
            enabled=bool(values.get("enabled")),
            selector=values.get("selector") or {},
            match_all=bool(values.get("match_all")),
            rollout_policy=self._policy_to_keep(),
        )

    def _policy_to_keep(self) -> Any:
        """What later revisions go out by: the way that was chosen now, if it is to be remembered."""
        chosen = self.release
        if not (chosen.is_bound and chosen.is_valid() and chosen.cleaned_data["remember"]):
            return self.base.rollout_policy
        return AT_ONCE if chosen.policy is None else chosen.policy.as_json()

    def clean(self) -> dict[str, Any]:
        """Have the service judge the draft; its messages go to their fields."""
        values = super().clean() or self.cleaned_data
        if not self.file_forms.is_valid() and not self.errors:
            self.add_error(None, gettext("A file cannot be read as it is; see below."))
        if self.errors or self.stage == ADD_FILE:
            return values
        name = self.instance.name if self.instance.pk else None
        present = draft_of(self.instance) if name else None
        draft = self.base
        self._refuse_overtaken()
        try:
            draft = self._typed()
            draft = draft.restored()
            if self.stage in DRAFT_STAGES:
                savable(draft, present=present)
                return values
            values["force"] = bool(values.get("force")) and may_force(self.editor)
            if self.saved is not None and self.saved.adopted_from is not None:
                refuse_masked(draft, by=self.editor, force=values["force"])
            self.found = preview(draft, name=name, present=present, force=values["force"])
        except InvalidConfiguration as error:
            self._tell(error, draft)
            return values
        row = Configuration.objects.select_related("current").get(pk=self.instance.pk) if name else None
        self.effect = effect_of(row, draft) if row else None
        self.changing = self.found.changing(new_files=self.new_files)
        if row is not None:
            self._refuse_stale(row, values)
        return values

    def _draft_edition(self) -> int | None:
        """Of the saved draft that is open: the edition that this form was filled in over."""
        if self.saved is None:
            return None
        field = "present_draft_edition" if self.stage == SAVE_OVER else "draft_edition"
        posted = self.data.get(field, "") if self.is_bound else ""
        return whole_number(posted) if posted else self.saved.edition

    def _refuse_overtaken(self) -> None:
        """Say who saved the open draft since, or that its configuration is gone."""
        if self.saved is None or self.stage == SAVE_OTHER:
            return
        if self.draft_edition != self.saved.edition:
            self.draft_overtaken = True
            said: DomainError = StaleDraft(by=self.saved.saved_by_name, at=self.saved.updated_at)
            self.add_error(None, in_readers_language(said))
        elif self.saved.is_of_deleted and self.stage not in DRAFT_STAGES:
            self.add_error(None, in_readers_language(configuration_deleted(self.saved.name)))

    def _tell(self, error: InvalidConfiguration, draft: Draft) -> None:
        self.can_be_forced = error.can_be_forced and may_force(self.editor)
        said = {field: [in_readers_language(text) for text in texts] for field, texts in error.errors.items()}
        for field, texts in self.file_forms.tell(said, draft).items():
            if field in self.fields:
                self.add_error(field, texts)
            else:
                self.add_error(None, [f"{field}: {text}" for text in texts])
        if not self.errors:
            self.add_error(None, gettext("There are problems in the files; see below."))

    def _refuse_stale(self, row: Configuration, values: Mapping[str, Any]) -> None:
        number = row.current.number if row.current else 0
        revision, edition = values.get("expected_revision"), values.get("expected_edition")
        if revision is not None and revision != number:
            said = gettext(
                "While you edited revision %(expected)d, %(author)s published revision %(current)d. Nothing of yours "
                "is lost and nothing is saved: compare below, then publish over it or take over what you need."
            ) % {"expected": revision, "current": number, "author": row.current.author_name if row.current else ""}
        elif edition is not None and edition != row.edition:
            said = gettext(
                "While you edited, somebody changed the name or the description. Nothing of yours is lost and nothing is "
                "saved: look at what it is now, then publish over it or take over what you need."
            )
        else:
            return
        self.stale = number
        self.present_edition = row.edition
        self.add_error(None, said)


def _as_saved(saved: ConfigurationDraft) -> dict[str, Any]:
    """What the form shows of a saved draft, beside its files."""
    columns = {key: value for key, value in saved.state.items() if key != "files"}
    base = {"expected_revision": saved.base_revision, "expected_edition": saved.base_edition}
    return {**columns, **base, "name": saved.name, "note": saved.note}


def whole_number(text: str) -> int:
    """The number, 0 for what is none; bounded, so that no database refuses it."""
    try:
        return max(min(int(text), 2**31 - 1), -(2**31))
    except ValueError:
        return 0
