"""API tokens in the admin: issued and revoked; nothing is edited, and the text is shown once."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.base_admin import PortalAdmin
from accounts.lifetimes import DEFAULT, UnclearExpiry, parse_expiry
from accounts.models import ApiToken, User
from accounts.rights import BeyondOwnRights, may_act_for, must_act_for
from accounts.services import issue_token, revoke_token
from accounts.templatetags.instants import instant
from foundation.clock import clock
from foundation.languages import in_readers_language


class TokenForm(forms.ModelForm[ApiToken]):
    """Whose it is, and when it ends."""

    actor: ClassVar[User]

    lifetime = forms.CharField(
        label=gettext_lazy("Expires"),
        initial=DEFAULT,
        required=False,
        max_length=40,
        help_text=gettext_lazy("A number of days such as 30d, a date such as 2030-01-31, or never."),
    )

    class Meta:
        model = ApiToken
        fields = ("name", "user")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "user" in self.fields:
            self.fields["user"].required = True
            widget = cast("Any", self.fields["user"].widget)
            # People are looked after on their own pages.
            for what in ("add", "change", "delete", "view"):
                setattr(widget, f"can_{what}_related", False)
            self.fields["user"].initial = self.actor.pk
            self.fields["user"].help_text = _("The token may what this person may, who has no more rights than you.")

    def clean_user(self) -> User:
        """Raises ValidationError for somebody with more rights than whoever asks."""
        person = cast("User", self.cleaned_data["user"])
        try:
            must_act_for(self.actor, person)
        except BeyondOwnRights as error:
            raise forms.ValidationError(in_readers_language(error)) from error
        return person

    def clean_lifetime(self) -> Any:
        """The end. Raises ValidationError that says how to write it."""
        try:
            return parse_expiry(self.cleaned_data["lifetime"], at=clock.now())
        except UnclearExpiry as error:
            raise forms.ValidationError(in_readers_language(error)) from error


@admin.register(ApiToken)
class ApiTokenAdmin(PortalAdmin):
    """Issue and revoke. Rows stay, since the audit trail speaks of them."""

    form = TokenForm
    list_display = ("name", "user", "prefix", "created_at", "ends", "last_used_at", "revoked_at")
    list_select_related = ("user",)
    search_fields = ("name", "prefix", "user__username")
    fields = ("name", "user", "lifetime")
    autocomplete_fields = ("user",)
    actions = ("revoke",)
    delete_confirmation_template = "admin/accounts/apitoken/revoke.html"

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> Any:
        """What is asked for, or what is known."""
        known = ("name", "user", "prefix", "created_at", "ends", "last_used_at", "revoked_at")
        return self.fields if obj is None else known

    def get_readonly_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> Any:
        """All of a token that is there."""
        return () if obj is None else self.get_fields(request, obj)

    @admin.display(description=gettext_lazy("expires at"), ordering="expires_at")
    def ends(self, token: ApiToken) -> Any:
        """When, or never."""
        return instant(token.expires_at) if token.expires_at else _("never")

    def get_form(self, request: HttpRequest, obj: ApiToken | None = None, change: bool = False, **kwargs: Any) -> Any:
        """A form that knows who fills it in."""
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"actor": request.user})

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Nothing is deleted."""
        return {name: action for name, action in super().get_actions(request).items() if name == "revoke"}

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        """A token never changes."""
        return obj is None and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        """Which is to revoke it: not that of somebody with more rights."""
        if not super().has_delete_permission(request, obj):
            return False
        if obj is None:
            return True
        stronger = obj.user is not None and not may_act_for(cast("User", request.user), obj.user)
        return obj.revoked_at is None and not stronger

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        """Through the service; the message is the only place the token is ever seen."""
        by = cast("User", request.user)
        end = form.cleaned_data["lifetime"]
        row, text = issue_token(cast("User", obj.user), name=obj.name, by=by, expires_at=end)
        obj.pk, obj.prefix, obj.expires_at = row.pk, row.prefix, row.expires_at
        messages.warning(request, _("Copy the token now, it is not shown again: %(token)s") % {"token": text})

    @admin.action(description=gettext_lazy("Revoke selected tokens"), permissions=["delete"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """Revoke; those revoked already stay as they are, and so do those of people with more rights."""
        count = left = 0
        for token in queryset.select_related("user"):
            try:
                count += revoke_token(token, by=cast("User", request.user), at=clock.now())
            except BeyondOwnRights:
                left += 1
        self.message_user(request, _("Tokens revoked: %(count)d.") % {"count": count})
        if left:
            text = _("Left alone, since they are of people with more rights than you: %(count)d.")
            self.message_user(request, text % {"count": left}, messages.WARNING)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """The token alone."""
        return [str(token) for token in objs], {}, set(), []

    def delete_model(self, request: HttpRequest, obj: ApiToken) -> None:
        """Revoked, not erased."""
        revoke_token(obj, by=cast("User", request.user), at=clock.now())

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Nothing is deleted; the audit trail has it."""

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        """To the list, where it is seen."""
        self.message_user(request, _("Tokens revoked: %(count)d.") % {"count": 1}, messages.SUCCESS)
        return redirect(reverse("admin:accounts_apitoken_changelist"))
