"""People and their roles. Edits run inside `accounts.people`, which audits them and lets nobody give more than they have."""

from __future__ import annotations

from copy import copy
from functools import partial
from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.db import router, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import people
from accounts.forms import AddPerson, EditPerson, EditRole, SetPassword
from accounts.models import User
from accounts.rights import may_act_for
from foundation.clock import clock

admin.site.unregister(Group)


def person_of(request: HttpRequest) -> User:
    """Who is signed in; the admin admits nobody else."""
    return cast("User", request.user)


@admin.register(User)
class PersonAdmin(UserAdmin):  # type: ignore[type-arg]
    """Those who sign in."""

    form = EditPerson
    add_form = AddPerson
    add_form_template = "admin/accounts/user/add_form.html"
    change_user_password_template = "admin/accounts/user/set_password.html"  # noqa: S105  a path
    list_display = ("username", "full_name", "roles", "is_active", "last_login")
    list_filter = ("is_active", "is_superuser", "groups")
    show_facets = admin.ShowFacets.NEVER
    filter_horizontal = ()
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("username", "password1", "password2", "role")}),
        (gettext_lazy("Personal info"), {"classes": ("wide",), "fields": ("first_name", "last_name", "email")}),
    )
    readonly_fields = ("last_login", "date_joined")
    actions = None

    @admin.display(description=gettext_lazy("name"))
    def full_name(self, person: User) -> str:
        """First and last."""
        return person.get_full_name() or "–"

    @admin.display(description=gettext_lazy("roles"))
    def roles(self, person: User) -> str:
        """By name; administrators need none."""
        named = sorted(role.name for role in person.groups.all())
        return ", ".join([_("administrator"), *named] if person.is_superuser else named) or "–"

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """With what the list shows."""
        return super().get_queryset(request).prefetch_related("groups")

    def get_form(self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any) -> Any:
        """A form that knows who fills it in."""
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"actor": person_of(request)})

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Administrators alone make administrators."""
        fields = super().get_readonly_fields(request, obj)
        return fields if person_of(request).is_superuser else (*fields, "is_superuser")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Not of people who have more rights: their page can be read."""
        return super().has_change_permission(request, obj) and (obj is None or may_act_for(person_of(request), obj))

    def has_view_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """As for anybody, whatever rights the other one has."""
        return super().has_view_permission(request, None)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Not of people who have more rights, and not oneself."""
        if not super().has_delete_permission(request, obj):
            return False
        return obj is None or (obj.pk != request.user.pk and may_act_for(person_of(request), obj))

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Saved in `save_related`, together with what belongs to it."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Person, roles and rights as one audited edit."""
        person = cast("User", form.instance)
        with people.editing_person(person, by=person_of(request)):
            person.save()
            form.save_m2m()
            if not change and form.cleaned_data["role"]:
                people.add_to_role(person, form.cleaned_data["role"])

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002
        """Set somebody's password; said is what became of their tokens."""
        asking = copy(self)
        asking.change_password_form = partial(SetPassword, request=request)
        with transaction.atomic(using=router.db_for_write(User)):
            return UserAdmin.user_change_password(asking, request, id, form_url)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """The person alone: tokens are revoked and stay, as does the audit trail."""
        return [str(person) for person in objs], {}, set(), []

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        """Through the service."""
        people.remove_person(obj, by=person_of(request), at=clock.now())


@admin.register(Group)
class RoleAdmin(GroupAdmin):
    """What people who do the same may."""

    filter_horizontal = ()
    form = EditRole
    actions = None

    def get_form(self, request: HttpRequest, obj: Group | None = None, change: bool = False, **kwargs: Any) -> Any:
        """A form that knows who fills it in."""
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"actor": person_of(request)})

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Not of roles that give more than the editor has."""
        return super().has_change_permission(request, obj) and _within_reach(request, obj)

    def has_view_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """As for any role."""
        return super().has_view_permission(request, None)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Not of roles that give more than the editor has."""
        return super().has_delete_permission(request, obj) and _within_reach(request, obj)

    def save_model(self, request: HttpRequest, obj: Group, form: Any, change: bool) -> None:
        """Saved in `save_related`."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The name and what it gives as one audited edit."""
        with people.editing_role(form.instance, by=person_of(request)):
            form.instance.save()
            form.save_m2m()

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        """Through the service."""
        people.remove_role(obj, by=person_of(request))


def _within_reach(request: HttpRequest, role: Group | None) -> bool:
    return role is None or people.may_edit_role(person_of(request), role)
