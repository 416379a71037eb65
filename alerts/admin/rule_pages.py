"""Rules in the admin: the list, choosing a kind, the form of it with what would fire now, and rules to start with."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts.base_admin import PortalAdmin
from accounts.models import User
from agents.templatetags.ago import time_element
from alerts.admin.rule_forms import RuleForm, model_fields, rule_fields, rule_form_of, rule_kind_of
from alerts.admin.shared import severity_pill
from alerts.alerts_shown import kind_title, may_see_names, with_pages
from alerts.models import AlertRule
from alerts.rule_kinds import KINDS, AgentKind, AlertKind
from alerts.rule_kinds.base import scope
from alerts.services import rule_edits
from alerts.services.proposed_rules import create_proposed
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.languages import in_readers_language
from foundation.messages import Message

_LATE = timedelta(minutes=2)


@admin.register(AlertRule)
class AlertRuleAdmin(PortalAdmin):
    """What is watched."""

    form = RuleForm
    actions = None
    change_form_template = "admin/alerts/alertrule/change_form.html"
    change_list_template = "admin/alerts/alertrule/change_list.html"
    list_display = ["name", "what", "how_bad", "enabled", "told", "state"]
    list_filter = ["severity", "enabled"]
    search_fields = ["name", "description"]
    list_per_page = 100

    def get_queryset(self, request: HttpRequest) -> Any:
        """With their receivers."""
        return super().get_queryset(request).prefetch_related("receivers")

    @admin.display(description=_("kind"), ordering="kind")
    def what(self, row: AlertRule) -> str:
        """What the kind is called."""
        return kind_title(row.kind)

    @admin.display(description=_("severity"), ordering="severity")
    def how_bad(self, row: AlertRule) -> SafeString:
        """Text and sign."""
        return severity_pill(row.severity)

    @admin.display(description=_("receivers"))
    def told(self, row: AlertRule) -> str:
        """By name."""
        return ", ".join(each.name for each in row.receivers.all()) or str(_("default receivers"))

    @admin.display(description=_("problem"))
    def state(self, row: AlertRule) -> SafeString | str:
        """Why it could not be evaluated, or that nobody has evaluated it of late."""
        if row.problem:
            return in_readers_language(Message.from_json(row.problem))
        now = clock.now()
        if not row.enabled or (row.evaluated_at and now - row.evaluated_at < _LATE):
            return "–"
        if row.evaluated_at:
            return format_html(gettext("not evaluated since {}"), time_element(row.evaluated_at))
        return "–" if now - row.created_at < _LATE else str(_("never evaluated yet"))

    def get_urls(self) -> list[Any]:
        """Choosing a kind, and starting with a set."""
        wrapped = self.admin_site.admin_view
        return [
            path("add/<slug:kind>/", wrapped(self.add_of_kind), name="alert_rule_add"),
            path("start/", wrapped(require_POST(self.start)), name="alert_rules_start"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """With the button that makes rules to start with, while there are none."""
        may_start = self.has_add_permission(request) and not AlertRule.objects.exists()
        context = {"may_start": may_start, "kinds": list(KINDS.values()) if may_start else []}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def start(self, request: HttpRequest) -> HttpResponse:
        """Make a rule of each kind that has none."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        count = len(create_proposed(by=cast("User", request.user), at=clock.now()))
        said = ngettext("%(count)d rule was made.", "%(count)d rules were made.", count)
        messages.success(request, said % {"count": count})
        return redirect(reverse("admin:alerts_alertrule_changelist"))

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The kinds to choose from."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("What should be watched?"),
            "choices": [
                (reverse("admin:alert_rule_add", args=[kind.name]), kind.title, kind.about) for kind in KINDS.values()
            ],
        }
        return TemplateResponse(request, "admin/alerts/choose.html", context)

    def add_of_kind(self, request: HttpRequest, kind: str) -> HttpResponse:
        """The form of a new rule of this kind."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if kind not in KINDS:
            raise Http404
        request.alert_kind = kind  # type: ignore[attr-defined]  # what Django's own views pass on is the request
        return super().changeform_view(request, None, "", self._context(request, None))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With what would fire now, when that was asked."""
        return super().change_view(
            request, object_id, form_url, {**self._context(request, object_id), **(extra_context or {})}
        )

    def _context(self, request: HttpRequest, object_id: str | None) -> dict[str, Any]:
        return {"show_save_and_add_another": False, "show_save_and_continue": False}

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Django's, with the preview that the form made."""
        rule, form = context.get("original"), context["adminform"].form
        kind = rule_kind_of(rule, getattr(request, "alert_kind", ""))
        found = getattr(form, "preview", None)
        seen = kind is not None and may_see_names(request.user, kind.name)
        context |= {
            "kind": kind,
            "looked": found is not None,
            "watched": _watched(rule, kind) if rule else None,
            "problem": in_readers_language(Message.from_json(rule.problem)) if rule and rule.problem else "",
            "count": sum(subject.count for subject in found or ()),
            "subjects": [
                {
                    "text": in_readers_language(subject.text),
                    "group": subject.key,
                    "sample": with_pages([one.as_json() for one in subject.sample]) if seen else [],
                    "more": max(subject.count - len(subject.sample), 0),
                }
                for subject in found or ()
            ],
            "open_alerts": rule.alerts.open().order_by("-pk")[:20] if rule else [],
        }
        if found is not None:
            # Asking is no mistake; whatever is one has been said at its field.
            context["errors"] = [] if not any(form.errors.values()) else context.get("errors")
        return super().render_change_form(request, context, *args, **kwargs)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The form of the kind, which knows who fills it in."""
        kind = rule_kind_of(obj, getattr(request, "alert_kind", ""))
        kwargs["fields"] = model_fields(kind) if self._writes(request, obj) else []
        form = super().get_form(request, obj, change, **kwargs)
        return form if kind is None else rule_form_of(kind, form, cast("User", request.user))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Those of the kind."""
        kind = rule_kind_of(obj, getattr(request, "alert_kind", ""))
        if kind is None:
            return [(None, {"fields": ["name", "description", "severity", "enabled"]})]
        fieldsets = rule_fields(kind, changing=obj is not None, writes=self._writes(request, obj))
        if self._writes(request, obj):
            return fieldsets
        return [(title, {"fields": [*map(self.in_words, more["fields"])]}) for title, more in fieldsets]

    def _writes(self, request: HttpRequest, obj: Any) -> bool:
        return self.has_change_permission(request, obj) if obj else self.has_add_permission(request)

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        """It was saved while it was judged."""
        return form.saved

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """See `save_form`."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """See `save_form`."""

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """The audit trail has it."""
        return []

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Its silences go with it, whoever may see them."""
        found, counts, _needed, protected = super().get_deleted_objects(objs, request)
        return found, counts, set(), protected

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Through the service."""
        rule_edits.delete_rule(obj, by=cast("User", request.user), at=clock.now())


def _watched(rule: AlertRule, kind: AlertKind | None) -> int | None:
    """The agents that it watches now; ``None`` where it watches none by its kind, or cannot say."""
    if not isinstance(kind, AgentKind):
        return None
    try:
        return scope(AlertRule.objects.get(pk=rule.pk), clock.now()).count()
    except (DomainError, AlertRule.DoesNotExist):
        return None
