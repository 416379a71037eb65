"""Alerts in the admin: what fires first, the page of one, and taking it upon oneself."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Case, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from agents.templatetags.ago import time_element
from alerts.admin.alerts_overview import agents_url
from alerts.admin.shared import NobodyTypes, alert_state_pill, delivery_pill, do, severity_pill
from alerts.admin.silence_forms import SilenceForm
from alerts.alerts_shown import alert_text, kind_title, may_see_names, with_pages
from alerts.bell import bell
from alerts.models import MOST_SAMPLED, Alert
from alerts.services.acknowledging import acknowledge
from foundation.clock import clock
from foundation.languages import in_readers_language
from foundation.messages import Message
from foundation.paging import WindowPaging

_DELIVERIES = 50


class AttendedFilter(admin.SimpleListFilter):
    """Whether somebody has it."""

    title = _("attention")
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """What there is."""
        return [
            ("needed", _("needs somebody")),
            ("acknowledged", _("acknowledged")),
            ("silenced", _("silenced")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alert]) -> QuerySet[Alert]:
        """The chosen ones; a strange value chooses nothing."""
        match self.value():
            case None:
                return queryset
            case "needed":
                return queryset.filter(state=Alert.State.FIRING, acknowledged_at=None, silence=None)
            case "acknowledged":
                return queryset.filter(acknowledged_at__isnull=False)
            case "silenced":
                return queryset.filter(silence__isnull=False)
        return queryset.none()


@admin.register(Alert)
class AlertAdmin(WindowPaging, NobodyTypes):
    """What is wrong, and was."""

    list_display = ["title", "how_bad", "stands", "said", "concerned", "since", "who"]
    list_display_links = ["title"]
    list_filter: ClassVar[list[Any]] = ["state", "severity", AttendedFilter]
    search_fields = ["rule_name", "group_key"]
    list_per_page = 50
    list_select_related = ("silence",)
    show_full_result_count = False

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        """Those that fire first, then the newest."""
        firing, pending = When(state=Alert.State.FIRING, then=Value(0)), When(state=Alert.State.PENDING, then=Value(1))
        return [Case(firing, pending, default=Value(2)).asc(), "-pk"]

    @admin.display(description=_("alert"))
    def title(self, row: Alert) -> str:
        """The rule, and the group."""
        return str(row)

    @admin.display(description=_("severity"), ordering="severity")
    def how_bad(self, row: Alert) -> SafeString:
        """Text and sign."""
        return severity_pill(row.severity)

    @admin.display(description=_("state"), ordering="state")
    def stands(self, row: Alert) -> SafeString:
        """Text and sign."""
        return alert_state_pill(row)

    @admin.display(description=_("what"))
    def said(self, row: Alert) -> str:
        """In the reader's language."""
        return alert_text(row)

    @admin.display(description=_("count"), ordering="count")
    def concerned(self, row: Alert) -> str:
        """How many of how many."""
        return str(row.count) if row.total is None else f"{row.count}\u00a0/\u00a0{row.total}"

    @admin.display(description=_("since"), ordering="started_at")
    def since(self, row: Alert) -> SafeString:
        """When it began."""
        return time_element(row.started_at)

    @admin.display(description=_("attention"))
    def who(self, row: Alert) -> str:
        """Who has it, or why it is not told."""
        if row.acknowledged_at:
            return f"✔ {row.acknowledged_by_name}"
        return str(_("silenced")) if row.silence_id else "–"

    def get_urls(self) -> list[Any]:
        """With the button, and what the bell of every page reads again."""
        act = self.admin_site.admin_view(require_POST(self.acknowledge))
        return [
            path("bell/", self.admin_site.admin_view(require_safe(self.bell)), name="alerts_bell"),
            path("<int:pk>/acknowledge/", act, name="alert_acknowledge"),
            *super().get_urls(),
        ]

    def bell(self, request: HttpRequest) -> HttpResponse:
        """The bell alone, counted now: whoever asks has heard that it changed."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        bell.forget()
        return TemplateResponse(request, "admin/alerts/bell_alone.html", {"has_permission": True})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One alert, drawn by us: there is nothing to type."""
        if request.method == "POST":
            raise PermissionDenied
        row = cast("Alert", self.get_object(request, object_id))
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        firing = row.state == Alert.State.FIRING
        deliveries = row.deliveries.select_related("receiver").order_by("-pk")[:_DELIVERIES]
        sees = may_see_names(request.user, row.kind)
        context = {
            **self.admin_site.each_context(request),
            "title": str(row),
            "subtitle": None,
            "opts": self.opts,
            "row": row,
            "key": str(row.pk),
            "said": alert_text(row),
            "kind": kind_title(row.kind),
            "pills": [severity_pill(row.severity), alert_state_pill(row)],
            "sample": with_pages(row.sample) if sees else [],
            "more": max(row.count - MOST_SAMPLED, 0) if sees else 0,
            "agents_url": agents_url(row) if request.user.has_perm("agents.view_agent") else "",
            "labels": sorted(row.labels.items()),
            "deliveries": [(each, delivery_pill(each), _problem(each)) for each in deliveries],
            "sees_deliveries": request.user.has_perm("alerts.view_alertdelivery"),
            "may_acknowledge": firing and not row.acknowledged_at and request.user.has_perm("alerts.change_alert"),
            "silence_form": SilenceForm(initial={"rule": row.rule_id})
            if row.state != Alert.State.RESOLVED and row.rule_id and request.user.has_perm("alerts.add_silence")
            else None,
        }
        return TemplateResponse(request, "admin/alerts/alert/change_form.html", context)

    def acknowledge(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Somebody takes it upon themselves."""
        if not request.user.has_perm("alerts.change_alert"):
            raise PermissionDenied
        row = cast("Alert", self.get_object(request, str(pk)))
        note = request.POST.get("note", "")
        do(request, lambda by: acknowledge(row.pk, note=note, by=by, at=clock.now()), _("Acknowledged."))
        return redirect(reverse("admin:alerts_alert_change", args=[row.pk]))


def _problem(delivery: Any) -> str:
    return in_readers_language(Message.from_json(delivery.problem)) if delivery.problem else ""
