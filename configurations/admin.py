"""Configurations in the admin: a form over the publishing services, with revisions and the agents concerned."""

from __future__ import annotations

import difflib
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from configurations.models import Configuration, Revision
from configurations.previewing import Preview, preview
from configurations.remote_config import ConfigFile
from configurations.services import offers, publishing
from configurations.services.publishing import Draft, InvalidConfiguration, StaleRevision, draft_of

_REVISIONS = 20
_AGENTS = 100
_FIELD_OF = {"raw_config": "raw_config", "selector": "selector", "content_type": "content_type", "name": "name"}


class ConfigurationForm(forms.ModelForm[Configuration]):
    """The draft as a form; it is judged by the service that publishes it, so that every door says the same."""

    raw_config = forms.CharField(
        label=_("Text"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"class": "code", "spellcheck": "false", "rows": 24}),
    )
    note = forms.CharField(label=_("Note for the revision"), required=False, max_length=500)
    only_preview = forms.BooleanField(
        label=_("Only show what would change"),
        required=False,
        help_text=_("Nothing is saved; the agents concerned are counted."),
    )
    expected_revision = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Configuration
        fields = [
            "name", "display_name", "description", "priority", "enabled", "selector", "match_all", "content_type", "config_key",
        ]  # fmt: skip
        widgets = {
            "description": forms.Textarea(attrs={"rows": 2}),
            "selector": forms.Textarea(attrs={"class": "labels", "rows": 4}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        current = self.instance.current if self.instance.pk else None
        if current is not None and "raw_config" in self.fields:
            self.fields["raw_config"].initial = current.files.get(self.instance.config_key, {}).get("body", "")
            self.fields["expected_revision"].initial = current.number
        self.found: Preview | None = None

    def draft(self) -> Draft:
        """What the form says, over the present state."""
        values = self.cleaned_data
        base = draft_of(Configuration.objects.get(pk=self.instance.pk)) if self.instance.pk else Draft()
        files = dict(base.files)
        key = values.get("config_key") or ""
        if base.config_key != key:
            files.pop(base.config_key, None)
        text = (values.get("raw_config") or "").replace("\r\n", "\n")
        files[key] = ConfigFile(text.encode(), values.get("content_type") or "text/yaml")
        return Draft(
            display_name=values.get("display_name") or "",
            description=values.get("description") or "",
            priority=values.get("priority") or 0,
            enabled=bool(values.get("enabled")),
            selector=values.get("selector") or {},
            match_all=bool(values.get("match_all")),
            content_type=values.get("content_type") or "text/yaml",
            config_key=key,
            files=files,
        )

    def clean(self) -> dict[str, Any]:
        """Have the service judge the draft; its messages go to their fields. A preview stops here."""
        values = super().clean() or self.cleaned_data
        if self.errors:
            return values
        name = self.instance.name if self.instance.pk else None
        try:
            self.found = preview(self.draft(), name=name)
        except InvalidConfiguration as error:
            for field, texts in error.errors.items():
                self.add_error(_FIELD_OF.get(field), [forms.ValidationError(text) for text in texts])
            return values
        current = Configuration.objects.select_related("current").get(pk=self.instance.pk).current if name else None
        expected = values.get("expected_revision")
        if current is not None and expected is not None and expected != current.number:
            self.add_error(None, str(StaleRevision(expected=expected, current=current.number)))
        elif values.get("only_preview"):
            found = self.found
            text = _(
                "Nothing saved yet. The selector matches %(matched)d agents; %(gained)d would get this configuration, "
                "%(lost)d would lose it; %(offline)d of its agents are offline, %(incapable)d cannot be configured."
            ) % {
                "matched": found.matched,
                "gained": found.gained,
                "lost": found.lost,
                "offline": found.offline,
                "incapable": found.incapable,
            }
            self.add_error("only_preview", text)
        return values


@admin.register(Configuration)
class ConfigurationAdmin(admin.ModelAdmin[Configuration]):
    """What agents should run."""

    form = ConfigurationForm
    list_display = [
        "name",
        "enabled",
        "priority",
        "selector_text",
        "revision",
        "assigned",
        "applied",
        "failed",
        "updated_at",
    ]
    list_filter = ["enabled"]
    search_fields = ["name", "display_name"]
    readonly_fields = ["revisions", "agents"]
    actions = None
    fieldsets = [
        (None, {"fields": ["name", "display_name", "description", "enabled"]}),
        (_("Which agents"), {"fields": ["selector", "match_all", "priority"]}),
        (_("What they run"), {"fields": ["raw_config", "content_type", "config_key"]}),
        (_("Publish"), {"fields": ["note", "only_preview", "expected_revision"]}),
        (_("Revisions"), {"fields": ["revisions"]}),
        (_("Agents"), {"fields": ["agents"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Configuration]:
        """With the counts of the list."""
        counted = super().get_queryset(request).select_related("current")
        return counted.annotate(
            assigned_count=Count("assignments"),
            applied_count=Count("assignments", filter=Q(assignments__status="applied")),
            failed_count=Count("assignments", filter=Q(assignments__status="failed")),
        )

    def get_fieldsets(self, request: HttpRequest, obj: Configuration | None = None) -> Any:
        """A new one has no revisions yet; a viewer has no form fields."""
        sections = self.fieldsets if obj else self.fieldsets[:4]
        if obj is None or self.has_change_permission(request, obj):
            return sections
        columns = {field.name for field in Configuration._meta.get_fields()} | set(self.readonly_fields)
        kept = [(title, [name for name in options["fields"] if name in columns]) for title, options in sections]
        return [(title, {"fields": names}) for title, names in kept if names]

    def get_readonly_fields(self, request: HttpRequest, obj: Configuration | None = None) -> list[str]:
        """The name stands in URLs and cannot change."""
        return [*self.readonly_fields, *(["name"] if obj else [])]

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
            messages.warning(request, f"{_('line')} {item.line}: {item.message}")

    def get_urls(self) -> list[Any]:
        """Roll back to a revision, and offer a configuration once more."""
        wrapped = self.admin_site.admin_view
        return [
            path("<int:pk>/rollback/<int:number>/", wrapped(self.roll_back), name="configuration_rollback"),
            path("retry/<int:agent_id>/", wrapped(self.retry), name="configuration_retry"),
            *super().get_urls(),
        ]

    def roll_back(self, request: HttpRequest, pk: int, number: int) -> HttpResponse:
        """GET shows what would change, POST does it."""
        row = get_object_or_404(Configuration.objects.select_related("current"), pk=pk)
        revision = get_object_or_404(Revision, configuration=row, number=number)
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        page = reverse("admin:configurations_configuration_change", args=[pk])
        if request.method == "POST":
            publishing.roll_back(row.name, number, by=cast("User", request.user), at=timezone.now())
            self.message_user(request, _("Rolled back to revision %(number)d.") % {"number": number})
            return redirect(page)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Roll back %(name)s to revision %(number)d") % {"name": row, "number": number},
            "difference": "" if row.current is None else _difference(row.current, revision),
            "concerned": row.assignments.count(),
            "page": page,
        }
        return TemplateResponse(request, "admin/configurations/configuration/rollback.html", context)

    def retry(self, request: HttpRequest, agent_id: int) -> HttpResponse:
        """POST offers the agent its configuration once more."""
        if request.method != "POST" or not request.user.has_perm("configurations.change_configuration"):
            raise PermissionDenied
        try:
            offers.retry_offer(agent_id, by=cast("User", request.user), at=timezone.now())
        except offers.NothingToRetry as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.message_user(request, _("The configuration is offered once more."))
        return redirect(reverse("admin:agents_agent_change", args=[agent_id]))

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """What the confirmation says: how many agents lose it. Its revisions go with it."""
        names = [
            _("%(name)s, which %(count)d agents should run") % {"name": row, "count": row.assignments.count()}
            for row in objs
        ]
        return names, {}, set(), []

    def delete_model(self, request: HttpRequest, obj: Configuration) -> None:
        """Through the service, which re-matches its agents."""
        publishing.delete_configuration(obj.name, by=cast("User", request.user), at=timezone.now())

    @admin.display(description=_("selector"))
    def selector_text(self, row: Configuration) -> str:
        """As a label query."""
        return str(row.parsed_selector()) or ("*" if row.match_all else "–")

    @admin.display(description=_("revision"))
    def revision(self, row: Configuration) -> int:
        """The newest."""
        return row.current.number if row.current else 0

    @admin.display(description=_("agents"))
    def assigned(self, row: Configuration) -> int:
        """Agents that should run it."""
        return cast("int", getattr(row, "assigned_count", 0))

    @admin.display(description=_("applied"))
    def applied(self, row: Configuration) -> int:
        """Agents that do."""
        return cast("int", getattr(row, "applied_count", 0))

    @admin.display(description=_("failed"))
    def failed(self, row: Configuration) -> int:
        """Agents that refused it."""
        return cast("int", getattr(row, "failed_count", 0))

    @admin.display(description="")
    def revisions(self, row: Configuration) -> SafeString:
        """The newest revisions, each with its difference to the one before."""
        rows = list(row.revisions.all()[: _REVISIONS + 1])
        shown = [
            {"revision": new, "diff": _difference(old, new)} for new, old in zip(rows, [*rows[1:], None], strict=True)
        ]
        return render_to_string("admin/configurations/configuration/revisions.html", {"rows": shown[:_REVISIONS]})

    @admin.display(description="")
    def agents(self, row: Configuration) -> SafeString:
        """The agents that should run it."""
        assigned = row.assignments.select_related("agent").order_by("agent__name")[:_AGENTS]
        return render_to_string("admin/configurations/configuration/agents.html", {"assignments": assigned})


def _difference(old: Revision | None, new: Revision) -> str:
    """A unified diff of all files."""
    before, after = (old.files if old else {}), new.files
    lines: list[str] = []
    for key in sorted({*before, *after}):
        former, present = (side.get(key, {}).get("body", "").splitlines() for side in (before, after))
        lines += difflib.unified_diff(former, present, fromfile=key, tofile=key, lineterm="")
    return "\n".join(lines)
