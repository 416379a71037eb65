"""Silences in the admin: the list with the form, and ending one."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts.models import User
from agents.templatetags.ago import time_element
from alerts.admin.shared import NobodyTypes, do, severity_pill, show_refusal
from alerts.admin.silence_forms import SilenceForm
from alerts.bell import bell
from alerts.models import Silence
from alerts.services.silencing import create_silence, end_silence
from foundation.clock import clock
from foundation.errors import DomainError
from rollouts.freezes_shown import time_words

_SHOWN = 50


class ActiveFilter(admin.SimpleListFilter):
    """In force, or over."""

    title = _("state")
    parameter_name = "active"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Both."""
        return [("true", _("in force")), ("false", _("over"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Silence]) -> QuerySet[Silence]:
        """The chosen ones; a strange value chooses nothing."""
        active = Silence.objects.active(clock.now()).order_by().values("pk")
        match self.value():
            case None:
                return queryset
            case "true":
                return queryset.filter(pk__in=active)
            case "false":
                return queryset.exclude(pk__in=active)
        return queryset.none()


@admin.register(Silence)
class SilenceAdmin(NobodyTypes):
    """What is not told for a while."""

    list_display = ["which", "note", "author_name", "since", "until", "ends"]
    list_display_links = None
    list_filter: ClassVar[list[Any]] = [ActiveFilter]
    list_per_page = 50
    list_select_related = ("rule",)
    ordering = ("-pk",)
    change_list_template = "admin/alerts/silence/change_list.html"
    fields = [
        "which",
        "note",
        "author_name",
        "starts_at",
        "expires_at",
        "ended_at",
        "ended_by_name",
    ]

    def get_urls(self) -> list[Any]:
        """Starting and ending."""
        wrapped = self.admin_site.admin_view
        return [
            path("start/", wrapped(require_POST(self.start)), name="silence_start"),
            path("<int:pk>/end/", wrapped(require_POST(self.end)), name="silence_end"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None, form: SilenceForm | None = None
    ) -> HttpResponse:
        """With the form; ``form`` is one that was sent and has mistakes."""
        may_start = request.user.has_perm("alerts.add_silence")
        active = Silence.objects.active(clock.now()).select_related("rule").order_by("pk")[:_SHOWN]
        context = {
            "silence_form": (form or SilenceForm()) if may_start else None,
            "active": [(row, self.which(row)) for row in active] if self.has_view_permission(request) else [],
            "may_end": request.user.has_perm("alerts.change_silence"),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def start(self, request: HttpRequest) -> HttpResponse:
        """Silence some alerts."""
        if not request.user.has_perm("alerts.add_silence"):
            raise PermissionDenied
        form = SilenceForm(request.POST)
        if not form.is_valid():
            return self.changelist_view(request, form=form)
        try:
            create_silence(form.wanted(), by=cast("User", request.user), at=clock.now())
        except DomainError as error:
            # What was typed stays.
            show_refusal(form, error)
            return self.changelist_view(request, form=form)
        bell.forget()
        messages.success(request, _("Silenced: these alerts are shown, and sent to nobody."))
        return redirect(reverse("admin:alerts_silence_changelist"))

    def end(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Have them sent again."""
        if not request.user.has_perm("alerts.change_silence"):
            raise PermissionDenied
        row = self.get_object(request, str(pk))
        do(request, lambda by: end_silence(row.pk, by=by, at=clock.now()), _("The silence is ended."))
        return redirect(reverse("admin:alerts_silence_changelist"))

    @admin.display(description=_("alerts"))
    def which(self, row: Silence) -> SafeString:
        """The matchers in words."""
        rule = row.rule.name if row.rule else _("every rule")
        parts = [format_html("{}", rule)]
        if row.severity:
            parts.append(severity_pill(row.severity))
        if row.selector:
            parts.append(format_html("<code>{}</code>", row.parsed_selector()))
        return SafeString(" ".join(parts))  # each part is escaped

    @admin.display(description=_("since"))
    def since(self, row: Silence) -> SafeString:
        """The beginning."""
        return time_element(row.starts_at)

    @admin.display(description=_("until"))
    def until(self, row: Silence) -> SafeString:
        """The end that was set."""
        return format_html('<time datetime="{}">{}</time>', row.expires_at.isoformat(), time_words(row.expires_at))

    @admin.display(description=_("state"))
    def ends(self, row: Silence) -> SafeString:
        """That it is in force, or how it ended."""
        if row.is_active(clock.now()):
            return format_html('<span class="pill pill-mark">{}</span>', _("in force"))
        return format_html("{} {}", _("over"), f"({row.ended_by_name})" if row.ended_by_name else "")
