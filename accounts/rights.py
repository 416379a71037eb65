"""What a person may, and so what they may pass on: nobody gives, or acts for, more than they have themselves.

Whether somebody is active plays no part: a person who is switched off keeps what they get back when switched on.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import Group, Permission
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet

from accounts.models import User
from foundation.errors import Category, DomainError
from foundation.messages import Message


class BeyondOwnRights(DomainError, PermissionDenied):
    """Somebody would give more than they have, or act on a person who has more; the text says which."""

    category = Category.FORBIDDEN


@dataclass(frozen=True, slots=True)
class Rights:
    """Names such as ``agents.view_agent``, or ``everything``, which is what a superuser has."""

    names: frozenset[str] = frozenset()
    everything: bool = False

    def cover(self, other: Rights) -> bool:
        """True when ``other`` is not more than this."""
        return self.everything or (not other.everything and other.names <= self.names)


def rights_of(person: User) -> Rights:
    """All that the person has, by role or directly."""
    if person.is_superuser:
        return Rights(everything=True)
    if not person.pk:
        return Rights()
    return rights_in(Permission.objects.filter(Q(user=person.pk) | Q(group__user=person.pk)))


def rights_of_role(role: Group) -> Rights:
    """What members of ``role`` get; nothing before it is saved."""
    return Rights() if role.pk is None else rights_in(Permission.objects.filter(group=role.pk))


def rights_in(permissions: QuerySet[Permission]) -> Rights:
    """The names of ``permissions``."""
    pairs = permissions.order_by().values_list("content_type__app_label", "codename")
    return Rights(frozenset(f"{app}.{code}" for app, code in pairs))


def may_act_for(actor: User, person: User) -> bool:
    """True for oneself, and for whoever has nothing that ``actor`` has not."""
    return actor.pk == person.pk or rights_of(actor).cover(rights_of(person))


def must_act_for(actor: User | None, person: User) -> None:
    """Raises `BeyondOwnRights`; ``None`` is the portal itself or its console, which may."""
    if actor is not None and not may_act_for(actor, person):
        raise BeyondOwnRights(
            Message(
                "person-has-more-rights",
                "{person} has rights that you do not have yourself.",
                person=person.get_username(),
            )
        )


def must_cover(own: Rights, given: Rights) -> None:
    """Raises `BeyondOwnRights` when ``given`` is more than ``own``, naming some of what is."""
    if own.cover(given):
        return
    if given.everything:
        raise BeyondOwnRights(Message("administrators-only", "Only an administrator makes somebody an administrator."))
    beyond = sorted(given.names - own.names)
    raise BeyondOwnRights(
        Message(
            "cannot-give-rights",
            "You cannot give rights that you do not have yourself: {rights}.",
            rights=", ".join(beyond[:5]),
        )
    )
