"""Certificates in the admin: the list, and the page where one is approved, denied, revoked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts.base_admin import PortalAdmin
from accounts.models import User
from certificates.certificates_shown import SOON, certificate_pill, is_expired
from certificates.models import LONGEST_REASON, AgentCertificate
from certificates.services import deciding
from certificates.services.requesting import renewal_from
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.languages import in_readers_language

State = AgentCertificate.State
_LARGEST_ID = 2**63 - 1
_DONE = {
    "approve": _("Approved: the agent gets its certificate with its next message."),
    "deny": _("Denied: the agent is told."),
    "revoke": _("Revoked: the connection that it opened is closed."),
}


class EndFilter(admin.SimpleListFilter):
    """When the time of those that were issued is over."""

    title = _("end")
    parameter_name = "ends"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Soon, or before now."""
        return [("soon", _("within 30 days")), ("over", _("expired"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AgentCertificate]) -> QuerySet[AgentCertificate]:
        """The chosen ones; a strange value chooses nothing."""
        value, now = self.value(), clock.now()
        if value is None:
            return queryset
        issued = queryset.filter(state=State.ISSUED)
        if value == "soon":
            return issued.filter(not_after__gt=now, not_after__lte=now + SOON)
        return issued.filter(not_after__lte=now) if value == "over" else queryset.none()


@admin.register(AgentCertificate)
class CertificateAdmin(PortalAdmin):
    """Requests and certificates."""

    list_display = ["of_agent", "pill", "key_type", "requested_at", "decided_by_name", "not_after", "used_at"]
    list_display_links = ["pill"]
    list_filter: ClassVar[list[Any]] = ["state", EndFilter]
    search_fields = ["agent__name", "agent__hostname", "serial_number"]
    search_help_text = _("Name or host of the agent, serial number")
    list_per_page = 50
    list_select_related = ("agent",)
    actions = None
    ordering = ("-pk",)
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Agents ask for them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: AgentCertificate | None = None) -> bool:
        """Buttons do it."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AgentCertificate | None = None) -> bool:
        """What was issued stays known."""
        return False

    def get_urls(self) -> list[Any]:
        """With the buttons."""
        act = self.admin_site.admin_view(require_POST(self.act))
        return [path("<int:pk>/act/<slug:name>/", act, name="certificate_act"), *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """One certificate, drawn by us: there is nothing to type but reasons."""
        row = cast("AgentCertificate", self.get_object(request, object_id))
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        may = request.user.has_perm("certificates.change_agentcertificate")
        context = {
            **self.admin_site.each_context(request),
            "title": _("Certificate %(number)s") % {"number": row.pk},
            "subtitle": None,
            "opts": self.opts,
            "row": row,
            "pill": certificate_pill(row),
            "renewal_from": renewal_from(row),
            "may_decide": may and row.state == State.PENDING and row.agent is not None,
            "may_revoke": may and row.state == State.ISSUED and not is_expired(row),
            "longest": LONGEST_REASON,
        }
        return TemplateResponse(request, "admin/certificates/agentcertificate/change_form.html", context)

    def act(self, request: HttpRequest, pk: int, name: str) -> HttpResponse:
        """What a button does; what cannot be done is said on the page."""
        if not request.user.has_perm("certificates.change_agentcertificate"):
            raise PermissionDenied
        row = get_object_or_404(AgentCertificate, pk=min(pk, _LARGEST_ID))
        key, reason = request.POST.get("key_sha256", ""), request.POST.get("reason", "")
        given: dict[str, Any] = {"by": cast("User", request.user), "at": clock.now()}
        acts: dict[str, Callable[[], Any]] = {
            "approve": lambda: deciding.approve_certificate(row.pk, key_sha256=key, **given),
            "deny": lambda: deciding.deny_certificate(row.pk, key_sha256=key, reason=reason, **given),
            "revoke": lambda: deciding.revoke_certificate(row.pk, reason=reason, **given),
        }
        if name in acts:
            try:
                acts[name]()
            except DomainError as error:
                messages.error(request, in_readers_language(error))
            else:
                messages.success(request, _DONE[name])
        return redirect(reverse("admin:certificates_agentcertificate_change", args=[row.pk]))

    @admin.display(description=_("agent"))
    def of_agent(self, row: AgentCertificate) -> SafeString | str:
        """A link, or the uid of one that is gone."""
        if row.agent is None:
            return str(row.instance_uid)
        page = reverse("admin:agents_agent_change", args=[row.agent.pk])
        return format_html('<a href="{}">{}</a>', page, row.agent.name_and_host())

    @admin.display(description=_("state"), ordering="state")
    def pill(self, row: AgentCertificate) -> SafeString:
        """Text and sign."""
        return certificate_pill(row)
