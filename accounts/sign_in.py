"""Signing in and out, and asking for a password once more: counted against guessing, and kept in the audit trail.

Called by the entry points themselves. Django's signals of the same names would do it too, but a consequence that no caller shows
is found by nobody; and `force_login` of tests and commands would write entries for people who did not come.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.http import HttpRequest

from accounts import guessing
from accounts.models import User
from accounts.services import record
from foundation.clock import clock

# Of somebody who has shown no password yet.
NOBODY = "anonymous"


@dataclass
class Attempt:
    """One password that is looked at; ``person`` is whose it turned out to be."""

    person: User | None = None


def address_of(request: HttpRequest) -> str:
    """The caller's address; `opamp_platform.middleware.ClientAddress` has looked behind the trusted proxies."""
    return str(request.META.get("REMOTE_ADDR") or "")


@contextmanager
def password_attempt(account: str, address: str) -> Iterator[Attempt]:
    """Look at a password inside, and set ``person`` when it is right. Raises `SignInPaused` before that."""
    at = clock.now()
    guessing.count_attempt(account, address, at=at)
    attempt = Attempt()
    yield attempt
    if attempt.person is not None:
        guessing.forgive(account, address, at=at)
    else:
        _record_failure(account, address)


def password_is_right(person: User, password: str, request: HttpRequest) -> bool:
    """Whether it is the password of ``person``, who is signed in. Raises `SignInPaused`."""
    with password_attempt(person.get_username(), address_of(request)) as attempt:
        attempt.person = person if person.check_password(password) else None
    return attempt.person is not None


def record_sign_in(request: HttpRequest, person: User) -> None:
    """``person`` has signed in."""
    _record("login", person, request)


def record_sign_out(request: HttpRequest, person: User, *, idle: bool = False) -> None:
    """``person`` has signed out, or was signed out for being idle."""
    _record("logout", person, request, idle=idle)


def _record(verb: str, person: User, request: HttpRequest, *, idle: bool = False) -> None:
    said = {"address": address_of(request), **({"idle": True} if idle else {})}
    record(by=person, verb=verb, target=person, name=person.get_username(), data=said)


def _record_failure(account: str, address: str) -> None:
    """What was typed is kept only when such an account exists: people type passwords there as well."""
    person = User.objects.filter(username=account).first()
    name = person.get_username() if person is not None else ""
    said = {"address": address} if person is not None else {"address": address, "unknown_account": True}
    record(by=None, actor=NOBODY, verb="login.fail", target=person or User(), name=name, data=said)
