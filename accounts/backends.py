"""Who a name and a password belong to; wrong ones meet growing pauses."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from accounts import sign_in
from accounts.models import User


class PausingBackend(ModelBackend):
    """Django's own accounts. Here, and not in a view, since every entry point that takes a name and a password comes by.

    `SignInPaused` is not caught by `authenticate`: each entry point says it in its own way.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """The person, or ``None``. Raises `accounts.guessing.SignInPaused`. Calls without a request are not counted."""
        name = username if username is not None else kwargs.get(User.USERNAME_FIELD)
        if request is None or not isinstance(name, str) or password is None:
            return _person(super().authenticate(request, username, password, **kwargs))
        with sign_in.password_attempt(name, sign_in.address_of(request)) as attempt:
            attempt.person = _person(super().authenticate(request, username, password, **kwargs))
        return attempt.person


def _person(user: Any) -> User | None:
    return user if isinstance(user, User) else None
