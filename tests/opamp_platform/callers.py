"""Who comes to entry points: people by session, programs by token, and those whom nothing lets in; and what each may."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.services import OPERATOR, VIEWER, ensure_roles, issue_token, revoke_token

NOBODY = "nobody.may"

Rights = Callable[[str], bool]


def rights_of_roles() -> dict[str, Rights]:
    """Which rights each role has, by name: a viewer sees the fleet, an operator changes it, an administrator all."""
    fleet = re.compile(r"(agents|certificates|configurations|connections|packages|rollouts|enrolment|variables)\.")
    return {
        "no role": lambda _right: False,
        "viewer": lambda right: bool(fleet.match(right)) and ".view_" in right,
        "operator": lambda right: bool(fleet.match(right)),
        "administrator": lambda right: right != NOBODY,
    }


@dataclass(frozen=True)
class Caller:
    """Somebody at the entry point, and what they may on pages and over REST; ``None`` where they are nobody."""

    name: str
    client: Client
    pages: Rights | None = None
    rest: Rights | None = None


def all_callers() -> list[Caller]:
    """Each role by session and by token; and those whom nothing lets in."""
    ensure_roles()
    callers = [Caller("anonymous", Client())]
    for role, may in rights_of_roles().items():
        user = User.objects.create_user(role.replace(" ", "-"), is_staff=True, is_superuser=role == "administrator")
        if role in {VIEWER, OPERATOR}:
            user.groups.add(Group.objects.get(name=role))
        callers.append(Caller(f"{role}, session", with_session(user), pages=may, rest=may))
        callers.append(Caller(f"{role}, token", with_token(issue_token(user, name=role, by=None)[1]), rest=may))
    now, everything = timezone.now(), rights_of_roles()["administrator"]
    admin = User.objects.get(username="administrator")
    row, revoked = issue_token(admin, name="revoked", by=None)
    revoke_token(row, by=None, at=now)
    _row, expired = issue_token(admin, name="expired", by=None, expires_at=now - timedelta(seconds=1))
    # A dead token is not made up for by a session beside it.
    beside = with_session(admin, HTTP_AUTHORIZATION=f"Bearer {revoked}")
    program = User.objects.create_user("program", is_superuser=True)
    switched_off = User.objects.create_user("switched-off", is_superuser=True, is_staff=True)
    _row, of_nobody = issue_token(switched_off, name="of nobody", by=None)
    gone = with_session(switched_off)
    User.objects.filter(pk=switched_off.pk).update(is_active=False)
    return [
        *callers,
        Caller("expired token", with_token(expired)),
        Caller("revoked token", with_token(revoked)),
        Caller("no such token", with_token(f"{revoked}x")),
        Caller("token of somebody switched off", with_token(of_nobody)),
        Caller("session of somebody switched off", gone),
        Caller("administrator with a revoked token, session", beside, pages=everything),
        Caller("administrator who is not staff, session", with_session(program), rest=everything),
    ]


def with_session(user: User, **headers: str) -> Client:
    """A person in a browser."""
    client = Client(**headers)
    client.force_login(user)
    return client


def with_token(text: str) -> Client:
    """A program."""
    return Client(HTTP_AUTHORIZATION=f"Bearer {text}")
