"""Deliveries in the admin: what was sent, what waits, and what was given up."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from agents.templatetags.ago import time_element
from alerts.admin.shared import NobodyTypes, delivery_pill, do
from alerts.models import AlertDelivery
from alerts.services.delivering import retry
from foundation.clock import clock
from foundation.languages import in_readers_language
from foundation.messages import Message
from foundation.paging import WindowPaging


@admin.register(AlertDelivery)
class DeliveryAdmin(WindowPaging, NobodyTypes):
    """Notices on their way."""

    list_display = ["number", "receiver", "about", "event", "stands", "attempts", "answered", "said", "made"]
    list_display_links = ["number"]
    list_filter: ClassVar[list[Any]] = ["state", "event"]
    search_fields = ["receiver__name", "alert__rule_name"]
    list_per_page = 50
    list_select_related = ("receiver", "alert")
    ordering = ("-pk",)
    show_full_result_count = False

    @admin.display(description=_("number"), ordering="pk")
    def number(self, row: AlertDelivery) -> int:
        """The key."""
        return int(row.pk)

    @admin.display(description=_("alert"))
    def about(self, row: AlertDelivery) -> SafeString:
        """Of what is told."""
        return format_html('<a href="{}">{}</a>', reverse("admin:alerts_alert_change", args=[row.alert_id]), row.alert)

    @admin.display(description=_("state"), ordering="state")
    def stands(self, row: AlertDelivery) -> SafeString:
        """Text and sign."""
        return delivery_pill(row)

    @admin.display(description=_("status code"))
    def answered(self, row: AlertDelivery) -> str:
        """What was answered."""
        return str(row.status_code or "–")

    @admin.display(description=_("error"))
    def said(self, row: AlertDelivery) -> str:
        """Why the last attempt failed."""
        return in_readers_language(Message.from_json(row.problem)) if row.problem else "–"

    @admin.display(description=_("created at"), ordering="pk")
    def made(self, row: AlertDelivery) -> SafeString:
        """When it was decided."""
        return time_element(row.created_at)

    def get_urls(self) -> list[Any]:
        """With the button."""
        act = self.admin_site.admin_view(require_POST(self.retry))
        return [path("<int:pk>/retry/", act, name="delivery_retry"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One delivery, drawn by us: there is nothing to type."""
        if request.method == "POST":
            raise PermissionDenied
        row = cast("AlertDelivery", self.get_object(request, object_id))
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": f"{row.receiver}: {row.get_event_display()}",
            "subtitle": None,
            "opts": self.opts,
            "row": row,
            "key": str(row.pk),
            "pill": delivery_pill(row),
            "problem": self.said(row) if row.problem else "",
            "may_retry": row.state == AlertDelivery.State.FAILED
            and not row.is_outdated
            and request.user.has_perm("alerts.change_alertdelivery"),
        }
        return TemplateResponse(request, "admin/alerts/alertdelivery/change_form.html", context)

    def retry(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Once more, from the beginning."""
        if not request.user.has_perm("alerts.change_alertdelivery"):
            raise PermissionDenied
        row = self.get_object(request, str(pk))
        do(request, lambda by: retry(row.pk, by=by, at=clock.now()), _("It is sent once more."))
        return redirect(reverse("admin:alerts_alertdelivery_change", args=[row.pk]))
