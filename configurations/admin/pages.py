"""Configurations in the admin: list, editor with live preview, confirmation before anything is published, revisions."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from accounts.models import User
from agents.admin import confirming as typed
from agents.models import Agent
from agents.selectors import InvalidSelector, Operator
from configurations.admin import confirming
from configurations.admin.forms import (
    EDIT,
    ConfigurationForm,
    drafted,
    new_files,
    selector_of,
    selector_rows,
)
from configurations.models import Assignment, Configuration, ConfigurationQuerySet, Revision, files_from_json
from configurations.outcome import AssignmentStatus
from configurations.previewing import reach
from configurations.services import offers, publishing
from configurations.services.publishing import Draft, InvalidConfiguration, StaleRevision, checked, draft_of

_REVISIONS = 20
_AGENTS = 100
_SAMPLED_FOR_KEYS = 200


@admin.register(Configuration)
class ConfigurationAdmin(admin.ModelAdmin[Configuration]):
    """What agents should run."""

    form = ConfigurationForm
    list_display = ["title", "state", "selector_text", "priority", "revision", "progress", "updated_at"]
    search_fields = ["name", "display_name"]
    search_help_text = _("Name or display name")
    list_per_page = 50
    readonly_fields = ["files_shown"]
    actions = None
    change_form_template = "admin/configurations/configuration/change_form.html"
    fieldsets = [
        (_("Name"), {"fields": ["name", "display_name", "description"]}),
        (_("Which agents"), {"fields": ["selector", "match_all", "priority", "enabled"], "classes": ["targeting"]}),
        (_("What they run"), {"fields": ["raw_config", "content_type", "config_key"], "classes": ["editor"]}),
        (_("This revision"), {"fields": ["note", "expected_revision"]}),
    ]

    class Media:
        """Plain modules, served by us."""

        js = [forms.Script("portal/configuration.js", type="module")]

    # --- List ------------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Configuration]:
        """With the counts of the list."""
        rows = cast("ConfigurationQuerySet", super().get_queryset(request))
        return rows.select_related("current").with_outcomes()

    @admin.display(description=_("configuration"), ordering="name")
    def title(self, row: Configuration) -> SafeString:
        """Display name over name."""
        if row.display_name and row.display_name != row.name:
            return format_html('{}<br><span class="quiet">{}</span>', row.display_name, row.name)
        return format_html("{}", row.name)

    @admin.display(description=_("enabled"), ordering="enabled")
    def state(self, row: Configuration) -> SafeString:
        """Text and sign."""
        if row.enabled:
            return format_html('<span class="pill pill-connected">✔ {}</span>', _("enabled"))
        return format_html('<span class="pill pill-disconnected">○ {}</span>', _("disabled"))

    @admin.display(description=_("selector"))
    def selector_text(self, row: Configuration) -> SafeString:
        """As a label query."""
        requirements = row.parsed_selector().requirements
        if requirements:
            return format_html("<code>{}</code>", row.parsed_selector())
        return format_html("{}", _("every agent") if row.match_all else _("no agent"))

    @admin.display(description=_("revision"))
    def revision(self, row: Configuration) -> str:
        """The newest."""
        return f"r{row.current.number}" if row.current else "–"

    @admin.display(description=_("progress"))
    def progress(self, row: Configuration) -> SafeString:
        """Applied of assigned, failures named."""
        return SafeString(render_to_string("admin/configurations/configuration/progress.html", {"row": row}))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Under a title that says what it shows."""
        return super().changelist_view(request, {"title": _("Configurations"), **(extra_context or {})})

    # --- Form ------------------------------------------------------------------------------------------------------

    def get_fieldsets(self, request: HttpRequest, obj: Configuration | None = None) -> Any:
        """A viewer has no form fields, and sees the files instead."""
        if self.may_edit(request, obj):
            return self.fieldsets
        columns = {field.name for field in Configuration._meta.get_fields()}
        kept = [(title, [name for name in options["fields"] if name in columns]) for title, options in self.fieldsets]
        return [(title, {"fields": names}) for title, names in kept if names] + [
            (_("Files"), {"fields": ["files_shown"]})
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Configuration | None = None) -> list[str]:
        """The name stands in URLs and cannot change."""
        return [*self.readonly_fields, *(["name"] if obj else [])]

    def may_edit(self, request: HttpRequest, row: Configuration | None) -> bool:
        """Change an existing one, or add a new one."""
        return self.has_change_permission(request, row) if row else self.has_add_permission(request)

    @admin.display(description="")
    def files_shown(self, row: Configuration) -> SafeString:
        """All files of the present revision, as text."""
        files = row.current.files if row.current else {}
        return SafeString(render_to_string("admin/configurations/configuration/files.html", {"files": files.items()}))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Should somebody publish between the form's checks and the saving, the checks run again and say so."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except (StaleRevision, InvalidConfiguration):
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
        row = self.get_queryset(request).get(pk=obj.pk) if change and obj else None
        if request.method == "POST" and not form.errors and form.stage != EDIT and form.found is not None:
            return self.confirmation(request, form, row)
        context |= self._editor_context(request, form, row)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _editor_context(
        self, request: HttpRequest, form: ConfigurationForm, row: Configuration | None
    ) -> dict[str, Any]:
        keys: set[str] = set()
        if request.user.has_perm("agents.view_agent"):
            for labels in Agent.objects.order_by("-id").values_list("labels", flat=True)[:_SAMPLED_FOR_KEYS]:
                keys.update(labels)
        context: dict[str, Any] = {
            "subtitle": None,
            "editable": self.may_edit(request, row),
            "row": row,
            "label_keys": sorted(keys),
            "operators": [(item.value, _OPERATOR_WORDS[item]) for item in Operator],
            "rows_json": json.dumps(_rows_typed(form)),
            "stale": form.stale,
        }
        if row is None:
            return context
        if form.stale is not None and row.current is not None:
            base = Revision.objects.filter(configuration=row, number=form.cleaned_data["expected_revision"]).first()
            if base is not None:
                context["meanwhile"] = confirming.difference(base.files, row.current.files)
        others = {} if row.current is None else dict(row.current.files)
        others.pop(row.config_key, None)
        return context | {
            "other_files": others.items(),
            "revisions": _revisions_of(row),
            "assignments": _assignments_of(row) if request.user.has_perm("agents.view_agent") else None,
            "most_agents": _AGENTS,
        }

    def confirmation(self, request: HttpRequest, form: ConfigurationForm, row: Configuration | None) -> HttpResponse:
        """What publishing the form would do, with everything typed carried along."""
        assert form.found is not None  # noqa: S101  a form without errors was previewed
        draft = form.draft()
        context = confirming.page_of(
            form.found, draft, row=row, changing=form.changing, show_agents=request.user.has_perm("agents.view_agent")
        )
        context |= {
            "title": _("Publish %(name)s?") % {"name": row or form.cleaned_data["name"]},
            "carried": typed.carried(request.POST, without=["stage"]),
            "stage_field": "stage",
            "back": True,
            "refusal": form.refusal,
            "nothing": row is not None and publishing.changes_nothing(row, draft),
            "submit": ngettext("Publish (%(count)d agent)", "Publish (%(count)d agents)", form.changing)
            % {"count": form.changing},
        }
        return self.confirm_page(request, row, context)

    def confirm_page(self, request: HttpRequest, row: Configuration | None, context: dict[str, Any]) -> HttpResponse:
        """The shared page of everything that needs a confirmation."""
        page = reverse("admin:configurations_configuration_change", args=[row.pk]) if row else ""
        whole = {**self.admin_site.each_context(request), "opts": self.opts, "row": row, "page": page, **context}
        return TemplateResponse(request, "admin/configurations/configuration/confirm.html", whole)

    def save_model(
        self, request: HttpRequest, obj: Configuration, form: forms.ModelForm[Configuration], change: bool
    ) -> None:
        """Publish through the service; findings that do not block are shown."""
        filled = cast("ConfigurationForm", form)
        by, at, note = cast("User", request.user), timezone.now(), filled.cleaned_data.get("note") or ""
        if change:
            saved, findings = publishing.update_configuration(
                obj.name,
                filled.draft(),
                by=by,
                at=at,
                expected_revision=filled.cleaned_data.get("expected_revision"),
                note=note,
            )
        else:
            saved, findings = publishing.create_configuration(obj.name, filled.draft(), by=by, at=at, note=note)
        obj.pk = saved.pk
        obj.refresh_from_db()
        for item in findings[:20]:
            messages.warning(request, _("Line %(line)d: %(message)s") % {"line": item.line, "message": item.message})

    def response_add(
        self, request: HttpRequest, obj: Configuration, post_url_continue: str | None = None
    ) -> HttpResponse:
        """To the page where its arrival can be watched."""
        return self._published(request, obj)

    def response_change(self, request: HttpRequest, obj: Configuration) -> HttpResponse:
        """To the page where its arrival can be watched."""
        return self._published(request, obj)

    def _published(self, request: HttpRequest, row: Configuration) -> HttpResponse:
        number = row.current.number if row.current else 0
        text = _("Revision %(number)d of %(name)s is published.") % {"number": number, "name": row}
        self.message_user(request, text, messages.SUCCESS)
        return redirect(reverse("admin:configurations_configuration_change", args=[row.pk]))

    # --- Live preview ----------------------------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        """Live previews, rolling back, switching on and off, and offering once more."""
        wrapped = self.admin_site.admin_view
        return [
            path("reach/", wrapped(require_POST(self.live_reach)), name="configuration_reach"),
            path("problems/", wrapped(require_POST(self.live_problems)), name="configuration_problems"),
            path("<int:pk>/rollback/<int:number>/", wrapped(self.roll_back), name="configuration_rollback"),
            path("<int:pk>/switch/", wrapped(self.switch), name="configuration_switch"),
            path("retry/<int:agent_id>/", wrapped(self.retry), name="configuration_retry"),
            *super().get_urls(),
        ]

    def live_reach(self, request: HttpRequest) -> HttpResponse:
        """Which agents the typed targeting concerns: a fragment of HTML, and the clauses for the row editor."""
        row = self._edited(request)
        posted = request.POST
        try:
            selector = selector_of(posted.get("selector", ""), match_all="match_all" in posted)
        except InvalidSelector as error:
            texts = [f"{place}: {text}" if place else text for place, text in error.errors]
            html = render_to_string("admin/configurations/configuration/reach.html", {"errors": texts}, request)
            return JsonResponse({"html": html, "rows": None, "changing": None})
        draft = Draft(
            selector=selector.as_json(),
            match_all=selector.match_all,
            priority=_whole_number(posted.get("priority", "")),
            enabled="enabled" in posted,
        )
        found = reach(draft, name=row.name if row else None)
        show = request.user.has_perm("agents.view_agent")
        context = {
            "found": found,
            "sample": found.sample if show else [],
            "more": max(found.assigned - len(found.sample), 0) if show else 0,
            "enabled": draft.enabled,
            "existing": row is not None,
        }
        return JsonResponse(
            {
                "html": render_to_string("admin/configurations/configuration/reach.html", context, request),
                "rows": selector_rows(selector),
                "changing": [found.changing(new_files=False), found.changing(new_files=True)],
            }
        )

    def live_problems(self, request: HttpRequest) -> HttpResponse:
        """What is wrong with the typed text, with places; and whether it differs from what agents have."""
        row = self._edited(request)
        posted = request.POST
        values = {name: posted.get(name, "") for name in ("raw_config", "content_type", "config_key")}
        draft = dataclasses.replace(drafted(values, draft_of(row) if row else Draft()), selector={})
        try:
            findings = checked(draft)[2]
            others: list[str] = []
        except InvalidConfiguration as error:
            findings = error.findings
            others = [] if findings else [text for texts in error.errors.values() for text in texts]
        html = render_to_string(
            "admin/configurations/configuration/problems.html", {"findings": findings, "others": others}, request
        )
        lines = {str(item.line): "error" if item.blocks else "warning" for item in reversed(findings)}
        current = row.current if row else None
        return JsonResponse(
            {"html": html, "lines": lines, "new_files": current is None or new_files(draft, current.hash)}
        )

    def _edited(self, request: HttpRequest) -> Configuration | None:
        """The configuration the form is about, ``None`` for a new one; only for those who may edit it."""
        key = request.POST.get("configuration", "")
        row = None
        if key:
            row = Configuration.objects.select_related("current").filter(pk=_whole_number(key)).first()
            if row is None:
                raise Http404
        if not self.may_edit(request, row):
            raise PermissionDenied
        return row

    # --- Other edits that need a confirmation ----------------------------------------------------------------------

    def roll_back(self, request: HttpRequest, pk: int, number: int) -> HttpResponse:
        """GET shows what would change, POST does it."""
        row = self._changeable(request, pk)
        revision = get_object_or_404(Revision, configuration=row, number=number)
        present = draft_of(row)
        draft = dataclasses.replace(
            present,
            files=files_from_json(revision.files),
            selector=revision.selector,
            match_all=revision.match_all,
            priority=revision.priority,
        )

        def act(expected: int) -> None:
            publishing.roll_back(
                row.name, number, by=cast("User", request.user), at=timezone.now(), expected_revision=expected
            )
            self.message_user(request, _("Rolled back to revision %(number)d.") % {"number": number}, messages.SUCCESS)

        title = _("Roll back %(name)s to revision %(number)d?") % {"name": row, "number": number}
        return self._confirmed(request, row, draft, act, title=title, verb=_("Roll back"))

    def switch(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Enable or disable: GET shows what would change, POST does it."""
        row = self._changeable(request, pk)
        draft = dataclasses.replace(draft_of(row), enabled=not row.enabled)

        def act(expected: int) -> None:
            by, at = cast("User", request.user), timezone.now()
            publishing.update_configuration(row.name, draft, by=by, at=at, expected_revision=expected)
            said = _("%(name)s is enabled.") if draft.enabled else _("%(name)s is disabled.")
            self.message_user(request, said % {"name": row}, messages.SUCCESS)

        title = (_("Enable %(name)s?") if draft.enabled else _("Disable %(name)s?")) % {"name": row}
        return self._confirmed(
            request, row, draft, act, title=title, verb=_("Enable") if draft.enabled else _("Disable")
        )

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The same page for deleting: who loses it, and what they get instead."""
        row = get_object_or_404(Configuration.objects.select_related("current"), pk=_whole_number(object_id))
        if not self.has_delete_permission(request, row):
            raise PermissionDenied

        def act(expected: int) -> None:
            by, at = cast("User", request.user), timezone.now()
            publishing.delete_configuration(row.name, by=by, at=at, expected_revision=expected)
            self.message_user(request, _("%(name)s is deleted.") % {"name": row}, messages.SUCCESS)

        draft = dataclasses.replace(draft_of(row), enabled=False)
        title = _("Delete %(name)s with all its revisions?") % {"name": row}
        gone = reverse("admin:configurations_configuration_changelist")
        return self._confirmed(request, row, draft, act, title=title, verb=_("Delete"), after=gone, danger=True)

    def _changeable(self, request: HttpRequest, pk: int) -> Configuration:
        row = get_object_or_404(Configuration.objects.select_related("current"), pk=pk)
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        return row

    def _confirmed(
        self,
        request: HttpRequest,
        row: Configuration,
        draft: Draft,
        act: Callable[[int], None],
        *,
        title: str,
        verb: Any,
        after: str = "",
        danger: bool = False,
    ) -> HttpResponse:
        """Show what ``draft`` would change; act when that page was answered for the revision it showed."""
        found = reach(draft, name=row.name)
        current = row.current
        changing = found.changing(new_files=current is None or new_files(draft, current.hash))
        refusal = None
        if request.method == "POST":
            refusal = typed.problem_of(request.POST, changing)
            if refusal is None:
                try:
                    act(_whole_number(request.POST.get("expected_revision", "")))
                except StaleRevision:
                    refusal = _("Somebody published another revision meanwhile: look again.")
                else:
                    return redirect(after or reverse("admin:configurations_configuration_change", args=[row.pk]))
        context = confirming.page_of(
            found, draft, row=row, changing=changing, show_agents=request.user.has_perm("agents.view_agent")
        )
        submit = ngettext("%(verb)s (%(count)d agent)", "%(verb)s (%(count)d agents)", changing)
        context |= {
            "title": title,
            "carried": [("expected_revision", str(current.number if current else 0))],
            "refusal": refusal,
            "danger": danger,
            "submit": submit % {"verb": verb, "count": changing},
        }
        return self.confirm_page(request, row, context)

    def retry(self, request: HttpRequest, agent_id: int) -> HttpResponse:
        """POST offers the agent its configuration once more."""
        if request.method != "POST" or not request.user.has_perm("configurations.change_configuration"):
            raise PermissionDenied
        try:
            offers.retry_offer(agent_id, by=cast("User", request.user), at=timezone.now())
        except Agent.DoesNotExist:
            raise Http404 from None
        except offers.NothingToRetry as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.message_user(request, _("The configuration is offered once more."), messages.SUCCESS)
        return redirect(reverse("admin:agents_agent_change", args=[agent_id]))


_OPERATOR_WORDS = {
    Operator.IN: _("is one of"),
    Operator.NOT_IN: _("is none of"),
    Operator.EXISTS: _("exists"),
    Operator.DOES_NOT_EXIST: _("does not exist"),
    Operator.GT: _("is a later version than"),
    Operator.LT: _("is an earlier version than"),
}


def _rows_typed(form: ConfigurationForm) -> list[dict[str, Any]] | None:
    """The clauses of what the form shows; ``None`` when that is no selector, so that it stays raw text."""
    if "selector" not in form.fields:
        return None
    shown = form["selector"].value()
    try:
        return selector_rows(selector_of(shown if isinstance(shown, str) else json.dumps(shown), match_all=False))
    except InvalidSelector:
        return None


def _revisions_of(row: Configuration) -> list[dict[str, Any]]:
    """The newest revisions, each with its difference to the one before."""
    rows = list(row.revisions.all()[: _REVISIONS + 1])
    return [
        {"revision": new, "difference": confirming.difference(old.files if old else {}, new.files)}
        for new, old in zip(rows, [*rows[1:], None], strict=True)
    ][:_REVISIONS]


def _assignments_of(row: Configuration) -> list[Assignment]:
    """Some of the agents that should run it, failures first."""
    rows = row.assignments.select_related("agent").order_by("agent_id")
    failed = AssignmentStatus.FAILED.value
    found = list(rows.filter(status=failed)[:_AGENTS])
    found += rows.exclude(status=failed)[: _AGENTS - len(found)]
    return found


def _whole_number(text: str) -> int:
    """The number, 0 for what is none; bounded, so that no database refuses it."""
    try:
        return max(min(int(text), 2**31 - 1), -(2**31))
    except ValueError:
        return 0
