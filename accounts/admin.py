"""People, tokens and the audit trail in the admin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.base_admin import PortalAdmin
from accounts.clock import clock
from accounts.models import ApiToken, AuditEntry, User
from accounts.paging import WindowPaging
from accounts.services import issue_token, revoke_token

admin.site.register(User, UserAdmin)


@admin.register(ApiToken)
class ApiTokenAdmin(PortalAdmin):
    """Issue and revoke; nothing is edited, and the text is shown once."""

    list_display = ["name", "user", "prefix", "created_at", "expires_at", "last_used_at", "revoked_at"]
    list_select_related = ["user"]
    search_fields = ["name", "prefix"]
    fields = ["name", "user", "expires_at"]
    autocomplete_fields = ["user"]
    actions = ["revoke"]

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        """A token never changes."""
        return obj is None and super().has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: ApiToken, form: forms.ModelForm[ApiToken], change: bool) -> None:
        """Through the service; the message is the only place the token is ever seen."""
        assert isinstance(request.user, User)  # noqa: S101  the admin admits nobody else
        row, text = issue_token(obj.user, name=obj.name, by=request.user, expires_at=obj.expires_at)
        obj.pk, obj.prefix = row.pk, row.prefix
        messages.warning(request, _("Copy the token now, it is not shown again: %(token)s") % {"token": text})

    @admin.action(description=_("Revoke selected tokens"), permissions=["delete"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """Revoke; those revoked already stay as they are."""
        assert isinstance(request.user, User)  # noqa: S101
        count = sum(revoke_token(token, by=request.user, at=clock.now()) for token in queryset)
        self.message_user(request, _("Tokens revoked: %(count)d.") % {"count": count})


class ObjectFilter(admin.SimpleListFilter):
    """By kind of object; the kinds are those there can be, since asking a long trail for them is a scan."""

    title = _("object type")
    parameter_name = "object"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The models that people see in the portal."""
        return [(model._meta.label_lower, model._meta.verbose_name) for model in admin.site._registry]  # noqa: SLF001

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """The entries about one kind of object."""
        return queryset if self.value() is None else queryset.filter(object_type=self.value())


@admin.register(AuditEntry)
class AuditEntryAdmin(WindowPaging, PortalAdmin):
    """Read-only."""

    list_display = ["at", "actor_name", "verb", "object_name", "object_type"]
    list_filter = [ObjectFilter]
    search_fields = ["actor_name", "object_name", "verb"]
    search_help_text = _("Person, object, or what was done")
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Services write it."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Append-only."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Append-only."""
        return False
