"""Secrets in clear: the one way to them, for pages and REST. Who goes it has the right, and is in the audit trail."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.db import models
from django.utils.translation import gettext as _

from accounts import services as accounts
from accounts.models import User
from agents.models import Agent

RIGHT = "agents.reveal_secrets"


def may_reveal(user: object) -> bool:
    """Whether ``user`` may ask for secrets: of what agents report, and of configurations."""
    return isinstance(user, User) and user.has_perm(RIGHT)


def require_right(user: object) -> None:
    """Raises `PermissionDenied` without the right; what else an entry point asks for comes after it and before `reveal`."""
    if not may_reveal(user):
        raise PermissionDenied(_("Showing secrets needs the right agents.reveal_secrets."))


def reveal(target: models.Model, *, by: User, what: str) -> None:
    """Leave an audit entry ``agent.reveal_secrets`` or ``configuration.reveal_secrets``; the caller then shows stored values.

    ``what`` of ``target`` is looked at, such as ``revision 3``. Raises `PermissionDenied` without the right.
    """
    require_right(by)
    verb = f"{target._meta.model_name}.reveal_secrets"
    name = target.name_and_host() if isinstance(target, Agent) else str(target)
    accounts.record(by=by, verb=verb, target=target, name=name, data={"what": what})
