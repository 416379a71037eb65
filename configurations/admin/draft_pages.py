"""Saved drafts in the admin: kept from the form and opened in it, compared with what is live, based anew, discarded."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from accounts.base_admin import Missing, PortalAdmin
from accounts.models import User
from agents.remote_config import RemoteConfig
from configurations.admin import confirmation_page
from configurations.admin.forms import EDIT, SAVE_OTHER, ConfigurationForm, whole_number
from configurations.checks import Finding
from configurations.line_differences import DiffLine, difference, remembered
from configurations.models import Configuration, ConfigurationDraft, Revision, files_from_json
from configurations.services import draft_saving
from configurations.services.draft_errors import DraftGone, StaleDraft
from configurations.services.draft_saving import Base, draft_in
from configurations.services.drafts import Draft, InvalidConfiguration
from configurations.services.edit_errors import StaleEdition, StaleRevision
from configurations.services.publishing import BasedOn
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.languages import in_readers_language

# Drafts of configurations that do not exist, in the list.
_MOST_NEW = 50


class DraftPages(PortalAdmin):
    """The part of the configurations' admin that knows saved drafts."""

    def draft_urls(self) -> list[URLPattern]:
        """One draft in the form; basing it anew; discarding it."""
        wrapped = self.admin_site.admin_view
        at = "drafts/<int:draft_id>"
        return [
            path(f"{at}/", wrapped(self.draft_page), name="configuration_draft"),
            path(f"{at}/rebase/", wrapped(require_POST(self.rebase_draft)), name="configuration_draft_rebase"),
            path(f"{at}/discard/", wrapped(self.discard_draft), name="configuration_draft_discard"),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """With the drafts of configurations that do not exist: no row of the list names them."""
        rows = ConfigurationDraft.objects.visible_to(request.user).of_new_configurations().listed()
        return super().changelist_view(request, {"new_drafts": rows[:_MOST_NEW], **(extra_context or {})})

    # --- In the form ---------------------------------------------------------------------------------------------------

    def draft_page(self, request: HttpRequest, draft_id: int) -> HttpResponse:
        """The draft in the form of its configuration, or of a new one; to be read alone by those who may not edit."""
        row = self._visible_draft(request, draft_id)
        if row is None:
            return self._without_draft(request)
        if not self._may_edit_draft(request, row):
            if request.method == "POST":
                raise PermissionDenied
            return self._draft_to_read(request, row)
        cast("Any", request).draft_id = draft_id
        key = None if row.configuration_id is None else str(row.configuration_id)
        try:
            return self.changeform_view(request, key)
        except DraftGone:
            return self._without_draft(request)

    def open_draft(self, request: HttpRequest) -> ConfigurationDraft | None:
        """The draft that the request's form shows, as it is now."""
        key = getattr(request, "draft_id", None)
        return None if key is None else ConfigurationDraft.objects.with_present().filter(pk=key).first()

    def save_typed(self, request: HttpRequest, object_id: str | None) -> HttpResponse | None:
        """Keep what was typed as a draft; ``None`` when it cannot be kept, which the form then says."""
        row = None if object_id is None else self.get_object(request, unquote(object_id))
        may = self.has_add_permission(request) if row is None else self.has_change_permission(request, row)
        if not may:
            raise PermissionDenied
        form = cast(
            "ConfigurationForm",
            self.get_form(request, row, change=row is not None)(request.POST, request.FILES, instance=row),
        )
        form.is_valid()
        if form.errors:
            return None
        try:
            kept = self._keep(request, form, None if row is None else row.name)
        except InvalidConfiguration as error:
            self.message_user(request, str(error), messages.ERROR)
            return None
        except (StaleDraft, DraftGone):
            # The form is judged anew, and says it.
            return None
        except DomainError as error:
            self.message_user(request, in_readers_language(error), messages.ERROR)
            return None
        self.message_user(
            request, _("The draft is saved. It reaches no agent until it is published."), messages.SUCCESS
        )
        return redirect(reverse("admin:configuration_draft", args=[kept.pk]))

    def _keep(self, request: HttpRequest, form: ConfigurationForm, name: str | None) -> ConfigurationDraft:
        values = form.cleaned_data
        options: dict[str, Any] = {
            "by": cast("User", request.user),
            "at": clock.now(),
            "note": values.get("note") or "",
        }
        wanted = form.draft()
        if form.saved is not None and form.stage != SAVE_OTHER:
            renamed = None if name else values["name"]
            editions = [form.draft_edition or 0]
            return draft_saving.edit_draft(form.saved.pk, wanted, editions=editions, name=renamed, **options)
        if name is None:
            adopted_from = None if form.saved is None else form.saved.adopted_from
            return draft_saving.save_new_draft(values["name"], wanted, adopted_from=adopted_from, **options)
        revision, edition = values.get("expected_revision"), values.get("expected_edition")
        base = None if revision is None or edition is None else Base(revision, edition)
        return draft_saving.save_draft(name, wanted, base=base, **options)

    def publish_typed(
        self, form: ConfigurationForm, name: str, wanted: Draft, **options: Any
    ) -> tuple[Configuration, list[Finding]]:
        """Publish what the form says in place of the draft that is open in it; the draft ends."""
        assert form.saved is not None  # noqa: S101  called for drafts alone
        revision, edition = (form.cleaned_data.get(f"expected_{what}") for what in ("revision", "edition"))
        over = None if edition is None else BasedOn(revision, (edition,))
        editions = [form.draft_edition or 0]
        return draft_saving.publish_draft(
            form.saved.pk, editions=editions, wanted=wanted, over=over, name=name, **options
        )

    def drafts_shown(self, request: HttpRequest, form: ConfigurationForm, row: Configuration | None) -> dict[str, Any]:
        """What the editor's page says of drafts: of the one that is open, and of others of the configuration."""
        saved = form.saved
        name = saved.name if saved is not None else row.name if row is not None else ""
        others = ConfigurationDraft.objects.filter(name=name).listed() if name else []
        context: dict[str, Any] = {"saved": saved, "drafts": [each for each in others if each != saved]}
        return context if saved is None else {**context, "check_now": True, **_compared(saved)}

    # --- Beside the form -----------------------------------------------------------------------------------------------

    def rebase_draft(self, request: HttpRequest, draft_id: int) -> HttpResponse:
        """POST takes over the present state, which the page has shown, as what the draft starts from."""
        row = self._editable_draft(request, draft_id)
        posted = request.POST
        onto = BasedOn(editions=(whole_number(posted.get("present_edition", "")),))
        editions = [whole_number(posted.get("draft_edition", ""))]
        try:
            draft_saving.rebase_draft(
                row.pk, by=cast("User", request.user), at=clock.now(), editions=editions, onto=onto
            )
        except DraftGone as error:
            raise Missing(in_readers_language(error)) from error
        except (StaleDraft, StaleEdition, StaleRevision) as error:
            self.message_user(request, in_readers_language(error), messages.ERROR)
        else:
            self.message_user(
                request, _("The draft is based on the present state now; what it says is as it was."), messages.SUCCESS
            )
        return redirect(reverse("admin:configuration_draft", args=[draft_id]))

    def discard_draft(self, request: HttpRequest, draft_id: int) -> HttpResponse:
        """GET asks, POST discards."""
        row = self._editable_draft(request, draft_id)
        if request.method == "POST":
            editions = [whole_number(request.POST.get("draft_edition", ""))]
            try:
                draft_saving.discard_draft(row.pk, by=cast("User", request.user), editions=editions)
            except DraftGone as error:
                raise Missing(in_readers_language(error)) from error
            except StaleDraft as error:
                self.message_user(request, in_readers_language(error), messages.ERROR)
                return redirect(reverse("admin:configuration_draft_discard", args=[draft_id]))
            self.message_user(request, _("The draft is discarded."), messages.SUCCESS)
            key = row.configuration_id
            page = "configurations_configuration_changelist" if key is None else "configurations_configuration_change"
            return redirect(reverse(f"admin:{page}", args=[] if key is None else [key]))
        context = self._page_of(request, row, _("Discard the draft of %(name)s?"))
        return TemplateResponse(request, "admin/configurations/configuration/draft_discard.html", context)

    # --- Shared --------------------------------------------------------------------------------------------------------

    def _visible_draft(self, request: HttpRequest, draft_id: int) -> ConfigurationDraft | None:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        key = min(draft_id, 2**63 - 1)
        return ConfigurationDraft.objects.visible_to(request.user).with_present().filter(pk=key).first()

    def _may_edit_draft(self, request: HttpRequest, row: ConfigurationDraft) -> bool:
        if row.base_edition is None:
            return self.has_add_permission(request)
        # The draft of a configuration that was deleted opens in the form of a new one.
        return self.has_change_permission(request) and (not row.is_of_deleted or self.has_add_permission(request))

    def _editable_draft(self, request: HttpRequest, draft_id: int) -> ConfigurationDraft:
        row = self._visible_draft(request, draft_id)
        if row is None:
            if not self.has_change_permission(request):
                raise PermissionDenied
            raise Missing(in_readers_language(DraftGone()))
        if not self._may_edit_draft(request, row):
            raise PermissionDenied
        return row

    def _without_draft(self, request: HttpRequest) -> HttpResponse:
        """What was typed over a draft that is gone, in the form without it. Raises `Missing` when nothing was."""
        said = in_readers_language(DraftGone())
        if request.method != "POST":
            raise Missing(said)
        self.message_user(request, said, messages.ERROR)
        posted = request.POST.copy()
        posted["stage"] = EDIT
        cast("Any", request).POST = posted
        cast("Any", request).draft_id = None
        key = whole_number(posted.get("configuration", ""))
        if key and Configuration.objects.filter(pk=key).exists():
            page = reverse("admin:configurations_configuration_change", args=[key])
            return self.changeform_view(request, str(key), page)
        page = reverse("admin:configurations_configuration_add")
        return self.changeform_view(request, None, page)

    def _draft_to_read(self, request: HttpRequest, row: ConfigurationDraft) -> HttpResponse:
        context = self._page_of(request, row, _("Draft of %(name)s"))
        return TemplateResponse(request, "admin/configurations/configuration/draft.html", context)

    def _page_of(self, request: HttpRequest, row: ConfigurationDraft, title: Any) -> dict[str, Any]:
        name = row.configuration or row.name
        whole = {**self.admin_site.each_context(request), "opts": self.opts, "title": title % {"name": name}}
        several = len(row.state["files"]) > 1
        return {
            **whole,
            "saved": row,
            "row": row.configuration,
            "problems": confirmation_page.said_of(row.found, several=several),
            **_compared(row),
        }


def draft_pill(row: Configuration) -> SafeString | str:
    """That there are drafts of it, where lists counted them."""
    count = getattr(row, "draft_count", 0)
    if not count:
        return ""
    said = ngettext("%(count)d draft", "%(count)d drafts", count) % {"count": count}
    return format_html(' <span class="chip">✎ {}</span>', said)


def _compared(saved: ConfigurationDraft) -> dict[str, Any]:
    """How the draft differs from what is live, and what changed since it began."""
    named = Configuration.objects.select_related("current").filter(name=saved.name).first()
    live = named.current if named is not None else None
    moved = saved.is_outdated or (named is not None and saved.configuration_id != named.pk)
    files = saved.state["files"]
    base = None
    if moved and named is not None and named.pk == saved.configuration_id:
        base = Revision.objects.filter(configuration=named, number=saved.base_revision or 0).first()
    since: list[DiffLine] | None = None
    if base is not None and live is not None and base.pk != live.pk:
        since = confirmation_page.revision_difference(base, live)
    return {
        "named": named,
        "outdated": moved,
        "draft_difference": remembered(
            live.hash if live else "",
            RemoteConfig(files_from_json(files)).config_hash().hex(),
            lambda: difference(live.files if live else {}, files),
        ),
        "draft_targeting": confirmation_page.targeting_changes(named, draft_in(saved)),
        "since": since,
    }
