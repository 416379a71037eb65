"""Who may publish what checks block: a right of its own."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.exceptions import PermissionDenied

from accounts.models import User
from configurations.checks import Finding
from foundation.errors import Category, DomainError
from foundation.messages import Message

RIGHT = "configurations.publish_with_errors"


class MayNotForce(DomainError, PermissionDenied):
    """Somebody without the right forces what is blocked; nothing was saved."""

    category = Category.FORBIDDEN

    def __init__(self) -> None:
        super().__init__(
            Message(
                "forcing-needs-a-right",
                "Publishing what checks block needs the right {right}.",
                right=RIGHT,
            )
        )


def may_force(person: User | None) -> bool:
    """``None`` is the portal itself or its console, which may."""
    return person is None or person.has_perm(RIGHT)


def refuse_force(forced: Sequence[Finding], by: User | None) -> None:
    """Raises `MayNotForce` when something is ``forced`` by somebody who may not. Where nothing had to be, all may."""
    if forced and not may_force(by):
        raise MayNotForce
