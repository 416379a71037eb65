"""Enrolment tokens in the admin: the list, the page of one, revoking. They are made on the page that connects an agent."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.base_admin import PortalAdmin
from accounts.models import User
from accounts.templatetags.instants import instant
from enrolment.admin.connecting import connect_page
from enrolment.admin.token_forms import WHO_SETS_APPROVAL, RevokeForm, approval_words
from enrolment.errors import AlreadyRevoked, InvalidToken
from enrolment.models import ApprovalRule, EnrolmentToken
from enrolment.services.tokens import revoke_enrolment_token
from foundation.clock import clock
from foundation.languages import in_readers_language

_LARGEST_ID = 2**63 - 1


class TokenStateFilter(admin.SimpleListFilter):
    """Whether a token may bring further agents."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """In force, or why not."""
        return [
            ("active", _("in force")),
            ("revoked", _("revoked")),
            ("expired", _("expired")),
            ("used_up", _("used up")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[EnrolmentToken]) -> QuerySet[EnrolmentToken]:
        """The chosen ones; a strange value chooses nothing."""
        at = clock.now()
        conditions = {
            "revoked": Q(revoked_at__isnull=False),
            "expired": Q(revoked_at=None, expires_at__lte=at),
            "used_up": Q(revoked_at=None, max_uses__isnull=False, uses__gte=F("max_uses")),
        }
        value = self.value()
        if value is None:
            return queryset
        if value == "active":
            return queryset.filter(pk__in=EnrolmentToken.objects.bringing(at).values("pk"))
        return queryset.filter(conditions[value]) if value in conditions else queryset.none()


@admin.register(EnrolmentToken)
class EnrolmentTokenAdmin(PortalAdmin):
    """Tokens; nothing is edited, and the text is never shown here."""

    list_display = ("name", "state", "brought", "label_words", "ends", "last_used_at", "created_by_name", "created_at")
    list_filter: ClassVar[list[Any]] = [TokenStateFilter]
    search_fields = ("name", "number")
    list_per_page = 50
    actions = None
    show_full_result_count = False
    change_form_template = "admin/enrolment/token.html"
    fields = (
        "name", "number", "state", "brought", "label_words", "approval", "ends", "last_used_at", "created_by_name",
        "created_at", "revoked_at", "revoked_by_name", "revoke_reason",
    )  # fmt: skip
    readonly_fields = fields

    def get_urls(self) -> list[Any]:
        """With revoking."""
        wrapped = self.admin_site.admin_view
        return [path("<int:pk>/revoke/", wrapped(self.revoke), name="enrolment_token_revoke"), *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The page that connects an agent makes tokens."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        context = {**self.admin_site.each_context(request), "title": gettext("Connect an agent")}
        return connect_page(request, context)

    def get_fields(self, request: HttpRequest, obj: EnrolmentToken | None = None) -> Any:
        """What became of it when something did."""
        revoked = obj is not None and obj.revoked_at is not None
        return self.fields if revoked else [name for name in self.fields if not name.startswith("revoke")]

    def has_change_permission(self, request: HttpRequest, obj: EnrolmentToken | None = None) -> bool:
        """A token never changes."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: EnrolmentToken | None = None) -> bool:
        """Rows stay."""
        return False

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """With the way to revoke it."""
        token = kwargs.get("obj")
        may = request.user.has_perm("enrolment.change_enrolmenttoken")
        context["may_revoke"] = may and token is not None and token.revoked_at is None
        return super().render_change_form(request, context, *args, **kwargs)

    def revoke(self, request: HttpRequest, pk: int) -> HttpResponse:
        """GET asks why, POST revokes."""
        if not request.user.has_perm("enrolment.change_enrolmenttoken"):
            raise PermissionDenied
        token = get_object_or_404(EnrolmentToken, pk=min(pk, _LARGEST_ID))
        page = reverse("admin:enrolment_enrolmenttoken_change", args=[token.pk])
        form = RevokeForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                revoke_enrolment_token(
                    pk, reason=form.cleaned_data["reason"], by=cast("User", request.user), at=clock.now()
                )
            except InvalidToken as error:
                form.add_error("reason", in_readers_language(error))
            except AlreadyRevoked as error:
                self.message_user(request, in_readers_language(error), messages.ERROR)
                return redirect(page)
            else:
                self.message_user(request, _("The token is revoked."), messages.SUCCESS)
                return redirect(page)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Revoke the token %(name)s?") % {"name": token.name},
            "token": token,
            "form": form,
            "page": page,
        }
        return TemplateResponse(request, "admin/enrolment/revoke.html", context)

    # --- Columns -----------------------------------------------------------------------------------------------

    @admin.display(description=_("new agents"))
    def approval(self, token: EnrolmentToken) -> SafeString:
        """What it means now, and where it is set if it is not the token's own."""
        hint = WHO_SETS_APPROVAL if token.approval_rule == ApprovalRule.SITE else ""
        return format_html('{} <span class="quiet">{}</span>', approval_words(token.approval_rule), hint)

    @admin.display(description=_("state"))
    def state(self, token: EnrolmentToken) -> SafeString:
        """A word."""
        at = clock.now()
        if token.revoked_at is not None:
            return _pill("error", _("revoked"))
        if token.expires_at is not None and token.expires_at <= at:
            return _pill("disconnected", _("expired"))
        if token.max_uses is not None and token.uses >= token.max_uses:
            return _pill("disconnected", _("used up"))
        return _pill("connected", _("in force"))

    @admin.display(description=_("agents brought"), ordering="uses")
    def brought(self, token: EnrolmentToken) -> SafeString:
        """How many of how many, as a link to them."""
        url = f"{reverse('admin:agents_agent_changelist')}?{urlencode({'enrolled_by': token.name})}"
        most = "" if token.max_uses is None else f" / {token.max_uses}"
        return format_html('<a href="{}">{}{}</a>', url, token.uses, most)

    @admin.display(description=_("labels"))
    def label_words(self, token: EnrolmentToken) -> str:
        """As a query would say it."""
        return ", ".join(f"{key}={value}" for key, value in sorted(token.labels.items())) or "–"

    @admin.display(description=_("expires at"), ordering="expires_at")
    def ends(self, token: EnrolmentToken) -> Any:
        """When, or never."""
        return instant(token.expires_at) if token.expires_at else _("never")


def _pill(kind: str, word: Any) -> SafeString:
    return format_html('<span class="pill pill-{}">{}</span>', kind, word)
