"""Edits of people and of roles: what changed is in the audit trail, and nobody comes out with more than the editor has.

Forms write the rows; an edit runs inside `editing_person` or `editing_role`, which compares before with after and refuses
by raising, so that no entry point can forget a field. Inside the caller's transaction, which a refusal undoes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction

from accounts.models import User
from accounts.rights import (
    BeyondOwnRights,
    must_act_for,
    must_cover,
    rights_in,
    rights_of,
    rights_of_role,
)
from accounts.services import ADMINISTRATOR, record, revoke_tokens_of
from foundation.messages import Message

# Of a person; beside them the names of roles and of single rights.
_FIELDS = ("username", "first_name", "last_name", "email", "is_active", "is_staff", "is_superuser")


def may_edit_role(actor: User, role: Group) -> bool:
    """True when all that the role gives is the actor's too."""
    return rights_of(actor).cover(rights_of_role(role))


def roles_to_give(actor: User) -> list[Group]:
    """The roles whose rights ``actor`` has too, by name."""
    own = rights_of(actor)
    return [role for role in Group.objects.order_by("name") if own.cover(rights_of_role(role))]


def add_to_role(person: User, role: str) -> None:
    """Make a person, who has been saved, a member of ``role``, or an administrator; inside `editing_person`."""
    if role == ADMINISTRATOR:
        person.is_superuser = True
        person.save(update_fields=["is_superuser"])
    else:
        person.groups.add(Group.objects.get(name=role))


@contextmanager
def editing_person(person: User, *, by: User) -> Iterator[None]:
    """Change ``person``, who may be new, inside. Raises `BeyondOwnRights` when they have, or get, more than ``by`` has."""
    before = _person_as_is(person)
    own = rights_of(by)
    if person.pk is not None:
        must_act_for(by, User.objects.get(pk=person.pk))
    yield
    must_cover(own, rights_of(User.objects.get(pk=person.pk)))
    after = _person_as_is(person)
    if before is None:
        record(by=by, verb="user.create", target=person, name=person.get_username(), data=after)
    elif changed := _changed(before, after or {}):
        record(by=by, verb="user.edit", target=person, name=person.get_username(), data={"changed": changed})


@contextmanager
def editing_role(role: Group, *, by: User) -> Iterator[None]:
    """Change ``role``, which may be new, inside. Raises `BeyondOwnRights` when it gives, or comes to give, more."""
    before = _role_as_is(role)
    own = rights_of(by)
    must_cover(own, rights_of_role(role))
    yield
    must_cover(own, rights_of_role(role))
    after = _role_as_is(role)
    if before is None:
        record(by=by, verb="role.create", target=role, name=role.name, data=after)
    elif changed := _changed(before, after or {}):
        record(by=by, verb="role.edit", target=role, name=role.name, data={"changed": changed})


@transaction.atomic
def remove_role(role: Group, *, by: User) -> None:
    """Delete ``role``; its members lose what it gave. Raises `BeyondOwnRights`."""
    must_cover(rights_of(by), rights_of_role(role))
    record(by=by, verb="role.delete", target=role, name=role.name, data=_role_as_is(role))
    role.delete()


@transaction.atomic
def remove_person(person: User, *, by: User, at: datetime) -> None:
    """Delete ``person``. Their tokens are revoked and stay, and so does the audit trail. Raises `BeyondOwnRights`."""
    must_act_for(by, person)
    if person.pk == by.pk:
        raise BeyondOwnRights(Message("cannot-remove-oneself", "Nobody removes themselves."))
    revoked = revoke_tokens_of(person, by=by, at=at)
    said = {**(_person_as_is(person) or {}), "tokens_revoked": revoked}
    record(by=by, verb="user.delete", target=person, name=person.get_username(), data=said)
    person.delete()


@transaction.atomic
def password_changed(person: User, *, by: User | None, at: datetime, end_tokens: bool) -> int:
    """Note that ``person`` has another password; returns how many of their tokens were revoked for it.

    Other sessions end by themselves: they are signed with the old password. Raises `BeyondOwnRights`.
    """
    must_act_for(by, person)
    revoked = revoke_tokens_of(person, by=by, at=at) if end_tokens else 0
    record(by=by, verb="user.password", target=person, name=person.get_username(), data={"tokens_revoked": revoked})
    return revoked


def _person_as_is(person: User) -> dict[str, Any] | None:
    """From the database, since a form has changed the object already; ``None`` for somebody who is new."""
    row = None if person.pk is None else User.objects.filter(pk=person.pk).first()
    if row is None:
        return None
    return {
        **{field: getattr(row, field) for field in _FIELDS},
        "roles": sorted(row.groups.values_list("name", flat=True)),
        "rights": sorted(rights_in(row.user_permissions.all()).names),
    }


def _role_as_is(role: Group) -> dict[str, Any] | None:
    row = None if role.pk is None else Group.objects.filter(pk=role.pk).first()
    return None if row is None else {"name": row.name, "rights": sorted(rights_of_role(row).names)}


def _changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[Any]]:
    return {field: [value, after[field]] for field, value in before.items() if after[field] != value}
