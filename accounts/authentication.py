"""Who calls the REST API, and what they may: API tokens, and model rights for reading as well as writing."""

from __future__ import annotations

from typing import Any, cast

from django.utils.translation import gettext
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, MethodNotAllowed
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts.models import ApiToken, User
from accounts.services import verify_token
from foundation.clock import clock

_RIGHTS = {
    "GET": "view",
    "HEAD": "view",
    "OPTIONS": "view",
    "POST": "add",
    "PUT": "change",
    "PATCH": "change",
    "DELETE": "delete",
}


class ApiTokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer <API token>``."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        """The token's user; ``None`` without a bearer token. Raises `AuthenticationFailed` for a dead or wrong one."""
        scheme, _, credentials = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        token = verify_token(credentials.strip().decode("latin-1"), at=clock.now())
        if token is None:
            raise AuthenticationFailed(gettext("The API token is unknown, expired or revoked."))
        return cast("User", token.user), token

    def authenticate_header(self, request: Request) -> str:
        """What a 401 names."""
        return 'Bearer realm="api"'


class ModelPermissions(BasePermission):
    """Django's model rights by what a call does: reading needs *view*, POST to a list *add*, PUT and PATCH *change*.

    A view, or one of its actions, that writes otherwise names the right in ``right``; rights on models beside its own
    stand in ``further_rights``, such as ``agents.view_agent``, and are needed for every method.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """False without the rights; 401 or 403 is decided by whether anybody is signed in."""
        if not request.user or not request.user.is_authenticated:
            return False
        method = request.method or ""
        if method not in _RIGHTS:
            raise MethodNotAllowed(method)
        right = _RIGHTS[method]
        if method not in SAFE_METHODS:
            right = getattr(view, "right", None) or right
        model = view.queryset.model._meta
        wanted = [f"{model.app_label}.{right}_{model.model_name}", *getattr(view, "further_rights", ())]
        return bool(request.user.has_perms(wanted))


class ApiTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema describes API tokens; found by its mere existence."""

    target_class = "accounts.authentication.ApiTokenAuthentication"
    name = "apiToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """HTTP bearer."""
        return {"type": "http", "scheme": "bearer"}


def signed_in(request: Request) -> User:
    """The caller; the permission class has refused everybody who is nobody."""
    return cast("User", request.user)
