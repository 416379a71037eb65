"""Configurations in the admin: list, editor with live preview, confirmation before anything is published, revisions."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from accounts.base_admin import PortalChangeList
from accounts.models import User
from agents.admin import typed_count
from agents.admin.selector_fields import rows_context, selector_keys
from agents.services.revealing import may_reveal
from agents.shown import files_shown
from agents.templatetags.ago import time_element
from configurations.admin import confirmation_page, tabs
from configurations.admin.archive_pages import Archives
from configurations.admin.draft_pages import DraftPages
from configurations.admin.editor_data import editor_context
from configurations.admin.edits import ConfirmedEdits
from configurations.admin.forms import (
    ADD_FILE,
    DRAFT_STAGES,
    EDIT,
    ConfigurationForm,
)
from configurations.admin.kinds import marks
from configurations.admin.last_known import count_last_known
from configurations.admin.live import LivePreviews
from configurations.admin.pipelines_typed import pipelines_of_forms
from configurations.admin.reach_seen import REACH_SEEN
from configurations.admin.rendered_pages import RenderedPages, rendered_form
from configurations.admin.revealed import RevealedFiles
from configurations.admin.starting_pages import chosen_start
from configurations.examples import collector_example
from configurations.models import (
    Configuration,
    ConfigurationQuerySet,
    Revision,
    drafts_of_each,
)
from configurations.services import publishing
from configurations.services.draft_errors import DraftOutdated, StaleDraft
from configurations.services.drafts import InvalidConfiguration
from configurations.services.edit_errors import StaleEdition, StaleRevision
from configurations.services.publishing import BasedOn
from foundation.clock import clock
from foundation.languages import in_readers_language
from foundation.refreshing import refreshes_itself
from rollouts.errors import RolloutRunning

_MESSAGES = 20


class ConfigurationList(PortalChangeList):
    """The list, which alone counts agents of every row."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Configuration]:
        """With how far the agents are, and how many drafts there are."""
        rows = cast("ConfigurationQuerySet", super().get_queryset(request, exclude_parameters)).with_outcomes()
        return rows.annotate(draft_count=drafts_of_each())

    def get_results(self, request: HttpRequest) -> None:
        """With how many of the outcomes are those of agents that are not connected."""
        super().get_results(request)
        self.result_list = count_last_known(self.result_list)


@admin.register(Configuration)
class ConfigurationAdmin(Archives, LivePreviews, DraftPages, ConfirmedEdits, RevealedFiles, RenderedPages):
    """What agents should run."""

    form = ConfigurationForm
    list_display = ["title", "state", "selector_text", "priority", "revision", "progress", "updated"]
    list_filter = ["kind"]
    search_fields = ["name", "display_name"]
    search_help_text = _("Name or display name")
    list_per_page = 50
    readonly_fields = ["files_shown"]
    actions = None
    change_form_template = "admin/configurations/configuration/change_form.html"
    fieldsets = [
        (_("Name"), {"fields": ["name", "kind", "display_name", "description"]}),
        (
            _("Which agents"),
            {
                "fields": ["selector", "match_all", "priority", "enabled"],
                "classes": ["targeting"],
                "description": _(
                    "Agents say their labels themselves: whoever may connect can claim any. Operator labels win; for keys in "
                    "OPAMP_TRUSTED_LABEL_KEYS they alone count."
                ),
            },
        ),
        # The files have forms of their own, drawn by the template.
        (_("What they run"), {"fields": [], "classes": ["editor"]}),
        (_("This revision"), {"fields": ["note", "expected_revision", "expected_edition"]}),
    ]

    class Media:
        """Plain modules, served by us."""

        js = [forms.Script(f"portal/{name}.js", type="module") for name in ("configuration", "meanwhile")]

    # --- List ------------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Configuration]:
        """With what is published."""
        return super().get_queryset(request).select_related("current")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """With counts."""
        return ConfigurationList

    @admin.display(description=_("configuration"), ordering="name")
    def title(self, row: Configuration) -> SafeString:
        """Display name over name."""
        if row.display_name and row.display_name != row.name:
            return format_html('{}<br><span class="quiet">{}</span>{}', row.display_name, row.name, marks(row))
        return format_html("{}{}", row.name, marks(row))

    @admin.display(description=_("enabled"), ordering="enabled")
    def state(self, row: Configuration) -> SafeString:
        """Text and sign."""
        if row.enabled:
            return format_html('<span class="pill pill-connected">✔ {}</span>', _("enabled"))
        return format_html('<span class="pill pill-disconnected">○ {}</span>', _("disabled"))

    @admin.display(description=_("selector"))
    def selector_text(self, row: Configuration) -> SafeString:
        """As a label query."""
        selector = row.parsed_selector()
        return format_html("<code>{}</code>" if selector.requirements else "{}", in_readers_language(selector.words))

    @admin.display(description=_("revision"))
    def revision(self, row: Configuration) -> str:
        """The newest."""
        return f"r{row.current.number}" if row.current else "–"

    @admin.display(description=_("progress"))
    def progress(self, row: Configuration) -> SafeString:
        """Applied of assigned, failures named."""
        return SafeString(render_to_string("admin/configurations/configuration/progress.html", {"row": row}))

    @admin.display(description=_("updated at"), ordering="updated_at")
    def updated(self, row: Configuration) -> SafeString:
        """How long ago; the time itself on hover."""
        return time_element(row.updated_at)

    # --- Form ------------------------------------------------------------------------------------------------------

    def get_fieldsets(self, request: HttpRequest, obj: Configuration | None = None) -> Any:
        """A viewer has no form fields, and sees the files instead."""
        if self.may_edit(request, obj):
            return self.fieldsets
        columns = {field.name for field in Configuration._meta.get_fields()}
        kept = [
            (title, [self.in_words(name) for name in options["fields"] if name in columns])
            for title, options in self.fieldsets
        ]
        return [(title, {"fields": names}) for title, names in kept if names] + [
            (_("Files"), {"fields": ["files_shown"]})
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Configuration | None = None) -> list[str]:
        """The name stands in URLs and cannot change, nor can the kind."""
        return [*self.readonly_fields, *(["name", "kind"] if obj else [])]

    @admin.display(description="")
    def files_shown(self, row: Configuration) -> SafeString:
        """All files of the present revision, as text."""
        files = files_shown(row.current.files) if row.current else {}
        return SafeString(render_to_string("admin/configurations/configuration/files.html", {"files": files.items()}))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Should somebody publish between the form's checks and the saving, the checks run again and say so."""
        if request.method == "POST" and request.POST.get("stage") in DRAFT_STAGES:
            saved = self.save_typed(request, object_id)
            if saved is not None:
                return saved
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except (StaleRevision, StaleEdition, StaleDraft, DraftOutdated, InvalidConfiguration, RolloutRunning):
            return super().changeform_view(request, object_id, form_url, extra_context)

    def render_change_form(
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Configuration | None = None,
    ) -> HttpResponse:
        """The editor; or, when a complete form came in, the page that says what it would change."""
        form = cast("ConfigurationForm", context["adminform"].form)
        # The form's own instance carries what was typed already.
        row = Configuration.objects.select_related("current").with_outcomes().get(pk=obj.pk) if change and obj else None
        if row is not None:
            count_last_known([row])
        if row is not None and refreshes_itself(request):
            return TemplateResponse(
                request,
                "admin/configurations/configuration/live.html",
                {"row": row, **tabs.tab_progress(request, row)},
            )
        # A rollout that stands in the way is said on the confirmation page, where it can be ended.
        asked = request.method == "POST" and form.stage not in (EDIT, ADD_FILE, *DRAFT_STAGES)
        if asked and not form.errors and form.found is not None:
            return self.confirmation(request, form, row)
        context |= self._editor_context(request, form, row)
        if form.saved is not None:
            context["title"] = row or form.saved.name
        return super().render_change_form(request, context, add, change, form_url, obj)

    def get_form(
        self, request: HttpRequest, obj: Configuration | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm[Configuration]]:
        """A form that knows who fills it in, and which saved draft."""
        form = super().get_form(request, obj, change, **kwargs)
        own = cast("type[ConfigurationForm]", form)
        own.editor, own.saved = cast("User", request.user), self.open_draft(request)
        own.start = None if obj is not None or own.saved is not None else chosen_start(request)
        return form

    def _editor_context(
        self, request: HttpRequest, form: ConfigurationForm, row: Configuration | None
    ) -> dict[str, Any]:
        context: dict[str, Any] = {
            "editable": self.may_edit(request, row),
            "row": row,
            "label_keys": selector_keys(request),
            **(rows_context(form["selector"].value()) if "selector" in form.fields else {}),
            "stale": form.stale,
            "files": form.file_forms,
            "pipelines": pipelines_of_forms(form.file_forms),
            "check_now": row is not None or form.is_bound,
            "main_name": _("main file"),
            "example": collector_example() if row is None and form.start is None else "",
            **editor_context(row),
            **self.drafts_shown(request, form, row),
        }
        if row is None:
            return context
        if form.stale is not None and row.current is not None:
            base = Revision.objects.filter(configuration=row, number=form.cleaned_data["expected_revision"]).first()
            if base is not None:
                context["meanwhile"] = confirmation_page.revision_difference(base, row.current)
        return context | {
            **tabs.tab_progress(request, row),
            **(tabs.tabs_shown(request, row, editable=context["editable"]) if form.saved is None else {}),
            **rendered_form(request, row),
            "may_reveal": row.current is not None and may_reveal(request.user),
        }

    def confirmation(self, request: HttpRequest, form: ConfigurationForm, row: Configuration | None) -> HttpResponse:
        """What publishing the form would do, with everything typed carried along."""
        assert form.found is not None  # noqa: S101  a form without errors was previewed
        draft = form.draft()
        shows = request.user.has_perm("agents.view_agent")
        context = confirmation_page.page_of(form.found, draft, row=row, new_files=form.new_files, show_agents=shows)
        context |= {
            "title": _("Publish %(name)s?") % {"name": row or form.cleaned_data["name"]},
            "carried": typed_count.carried(request.POST, without=["stage", REACH_SEEN, *form.release.sent_names()]),
            "stage_field": "stage",
            "back": True,
            "reach_seen": REACH_SEEN in request.POST,
            "refusal": form.refusal,
            "nothing": form.effect is not None and form.effect.nothing,
            "only_words": form.effect is not None and not form.effect.nothing and not form.effect.makes_revision,
            "submit": ngettext("Publish (%(count)d agent)", "Publish (%(count)d agents)", form.changing)
            % {"count": form.changing},
        }
        if form.effect is None or form.effect.makes_revision:
            name = row.name if row else form.cleaned_data["name"]
            context |= confirmation_page.release_context(form.release, draft, row=row, name=name, show_agents=shows)
        return self.confirm_page(request, row, context)

    def save_model(
        self, request: HttpRequest, obj: Configuration, form: forms.ModelForm[Configuration], change: bool
    ) -> None:
        """Publish through the service; findings that do not block are shown."""
        filled = cast("ConfigurationForm", form)
        values = filled.cleaned_data
        options: dict[str, Any] = {
            "by": cast("User", request.user),
            "at": clock.now(),
            "note": values.get("note") or "",
            "force": values.get("force", False),
            "plan": filled.plan(),
        }
        draft = filled.draft()
        if filled.saved is not None:
            saved, findings = self.publish_typed(filled, obj.name, draft, **options)
        elif change:
            edition = values.get("expected_edition")
            based_on = BasedOn(values.get("expected_revision"), None if edition is None else (edition,))
            saved, findings = publishing.update_configuration(obj.name, draft, based_on=based_on, **options)
        else:
            saved, findings = publishing.create_configuration(obj.name, draft, **options)
        obj.pk = saved.pk
        obj.refresh_from_db()
        self._say_saved(request, obj, filled)
        # What was confirmed the service says once more.
        reach = [] if filled.found is None else [item for item in filled.found.findings if not item.line]
        for text in confirmation_page.said_of([*findings, *reach], several=len(draft.files) > 1)[:_MESSAGES]:
            messages.warning(request, text)

    def _say_saved(self, request: HttpRequest, row: Configuration, form: ConfigurationForm) -> None:
        number = row.current.number if row.current else 0
        text = _("Revision %(number)d of %(name)s is published.")
        if form.release.policy is not None:
            text = _("Revision %(number)d of %(name)s is rolled out in stages.")
        if form.effect is not None and not form.effect.makes_revision:
            text = _("%(name)s is saved; its revision is still %(number)d.")
        self.message_user(request, text % {"number": number, "name": row}, messages.SUCCESS)

    def response_add(
        self, request: HttpRequest, obj: Configuration, post_url_continue: str | None = None
    ) -> HttpResponse:
        """To the page where its arrival can be watched."""
        return self._published(obj)

    def response_change(self, request: HttpRequest, obj: Configuration) -> HttpResponse:
        """To the page where its arrival can be watched."""
        return self._published(obj)

    def _published(self, row: Configuration) -> HttpResponse:
        return redirect(reverse("admin:configurations_configuration_change", args=[row.pk]) + "#progress")

    def get_urls(self) -> list[Any]:
        """Live previews, rolling back, switching on and off, and offering once more."""
        wrapped = self.admin_site.admin_view
        return [
            *self.live_urls(),
            *self.archive_urls(),
            *self.draft_urls(),
            path("<int:pk>/rollback/<int:number>/", wrapped(self.roll_back), name="configuration_rollback"),
            path("<int:pk>/switch/", wrapped(self.switch), name="configuration_switch"),
            path("<int:pk>/rendered/", wrapped(self.rendered), name="configuration_rendered"),
            path("<int:pk>/secrets/", wrapped(require_POST(self.reveal)), name="configuration_secrets"),
            path("<int:pk>/secrets/file/", wrapped(require_POST(self.reveal_file)), name="configuration_secrets_file"),
            path("retry/<int:agent_id>/", wrapped(require_POST(self.retry)), name="configuration_retry"),
            *super().get_urls(),
        ]
