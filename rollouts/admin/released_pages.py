"""What the admin pages of released versions have in common: a row is saved by its form's service, and asked about on a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from accounts.base_admin import PortalAdmin
from agents.admin import typed_count
from agents.admin.selector_fields import SelectorFormField, SelectorRows
from foundation.errors import DomainError
from foundation.languages import in_readers_language
from rollouts.admin.descriptions import stage_words
from rollouts.admin.forms import ReleaseForm
from rollouts.models import Rollout, Targeted
from rollouts.policies import Policy
from rollouts.progress import planned_stages
from rollouts.services.rolling_out import salt_of
from rollouts.services.version_publishing import BY_DEFAULT, VersionPlan

LARGEST_ID = 2**63 - 1


class TargetedForm(forms.ModelForm[Any]):
    """A row whose service judges and saves it in ``clean``; ``based_on`` is the edition that was read.

    A subclass leaves what was saved in ``saved``.
    """

    selector = SelectorFormField(widget=SelectorRows)
    based_on = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def clean_priority(self) -> int:
        """Zero when nothing is written."""
        return int(self.cleaned_data["priority"] or 0)

    def editions(self) -> set[int] | None:
        """What the edit is based on, as services take it."""
        edition = self.cleaned_data.get("based_on")
        return None if edition is None else {edition}

    def _post_clean(self) -> None:
        """The service has judged the row; Django would judge it once more, with other words."""


class ReleasedAdmin(PortalAdmin):
    """The list and the page of one kind; ``ask_template`` is its page with one form, where the row is ``row_name``."""

    ask_template: ClassVar[str]
    row_name: ClassVar[str]
    actions = None
    list_per_page = 100

    @admin.display(description=_("selector"))
    def selector_text(self, row: Targeted) -> SafeString:
        """As a label query."""
        selector = row.parsed_selector()
        return format_html("<code>{}</code>" if selector.requirements else "{}", in_readers_language(selector.words))

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        """It was saved while it was judged."""
        return form.saved

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """See `save_form`."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing hangs on it here."""

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        """One that is used stays."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except DomainError as error:
            self.message_user(request, in_readers_language(error), messages.ERROR)
            return redirect(self.page_of(object_id))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Its versions go with it, whoever may see their rows."""
        found, counts, _needed, protected = super().get_deleted_objects(objs, request)
        return found, counts, set(), protected

    def page_of(self, key: int | str | None) -> str:
        """The page of a row, that of the list without one."""
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        return reverse(f"{name}_changelist") if key is None else reverse(f"{name}_change", args=[key])

    def visible_row(self, request: HttpRequest, object_id: str) -> Any:
        """The row of a page, ``None`` for none, and for who may not see it."""
        has_key = object_id.isascii() and object_id.isdecimal() and len(object_id) <= 18
        row = self.model.objects.filter(pk=object_id).first() if has_key else None
        return row if row is not None and self.has_view_or_change_permission(request, row) else None

    def changeable(self, request: HttpRequest, pk: int) -> Any:
        """The row, for who may change it. Raises `PermissionDenied`, `Http404`."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        row = self.model.objects.filter(pk=min(pk, LARGEST_ID)).first()
        if row is None:
            raise Http404
        return row

    def ask(self, request: HttpRequest, row: Model | None, context: dict[str, Any]) -> TemplateResponse:
        """A page with one form."""
        whole = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            self.row_name: row,
            "page": self.page_of(None if row is None else row.pk),
            **context,
        }
        return TemplateResponse(request, self.ask_template, whole)


def progress_text(done: int, agents: int, failed: int) -> SafeString:
    """How many agents should have something, and how far they are."""
    said = format_html("{} / {}", done, agents)
    return format_html('{} <span class="bad">✖ {}</span>', said, failed) if failed else said


def release_form(request: HttpRequest, row: Targeted, *, may_remember: bool = False) -> ReleaseForm:
    """How a version of ``row`` goes out, as it was chosen so far."""
    sent = request.POST if request.method == "POST" else None
    return ReleaseForm(sent, default=BY_DEFAULT.policy_for(row), may_remember=may_remember)


def is_meant(request: HttpRequest, chosen: ReleaseForm) -> bool:
    """Whether it is to go out now, and not only to be looked at."""
    return request.method == "POST" and chosen.is_usable and request.POST.get("stage") != "stages"


def chosen_plan(chosen: ReleaseForm) -> VersionPlan:
    """Of a usable form."""
    replace = bool(chosen.cleaned_data.get("replace")) if chosen.is_bound else False
    return VersionPlan(chosen.policy, replace=replace)


Named = Sequence[tuple[UUID, Any, str]]
"""Agents by uid, labels and name, as stages are planned from."""


def planned_context(policy: Policy | None, subject: str, name: str, agents: Named) -> list[dict[str, Any]]:
    """The stages that a policy has now, with words; none at once."""
    planned = planned_stages(policy, salt_of(subject, name), agents) if policy else ()
    return [{"planned": stage, "words": stage_words(stage.stage)} for stage in planned]


def version_release_context(
    subject: str, row: Targeted | None, name: str, chosen: ReleaseForm, agents: Named, problem: str | None
) -> dict[str, Any]:
    """What the page with a `ReleaseForm` says: stages, whom it reaches, what is on its way; ``row`` is ``None`` for a new one."""
    active = Rollout.objects.active().of(subject, row.pk).first() if row is not None else None
    return {
        "release": chosen,
        "active_rollout": active,
        "planned": planned_context(chosen.policy if chosen.is_usable else None, subject, name, agents),
        "count": len(agents),
        "counted": True,
        "must_type": len(agents) > typed_count.TYPE_ABOVE,
        "problem": problem,
    }
