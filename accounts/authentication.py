"""Who calls the REST API, and what they may: API tokens, and model rights for reading as well as writing."""

from __future__ import annotations

from typing import Any, cast

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import DjangoModelPermissions
from rest_framework.request import Request

from accounts.models import ApiToken, User
from accounts.services import verify_token


class ApiTokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer <API token>``."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        """The token's user; ``None`` without a bearer token. Raises `AuthenticationFailed` for a dead or wrong one."""
        scheme, _, credentials = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        token = verify_token(credentials.strip().decode("latin-1"), at=timezone.now())
        if token is None:
            raise AuthenticationFailed("The API token is unknown, expired or revoked.")
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """What a 401 names."""
        return 'Bearer realm="api"'


class ModelPermissions(DjangoModelPermissions):
    """Django's model rights; unlike the stock class, reading needs the view right too."""

    perms_map: dict[str, Any] = {
        **DjangoModelPermissions.perms_map,
        "GET": ["%(app_label)s.view_%(model_name)s"],
        "HEAD": ["%(app_label)s.view_%(model_name)s"],
        "OPTIONS": ["%(app_label)s.view_%(model_name)s"],
        "POST": ["%(app_label)s.change_%(model_name)s"],
    }


class ApiTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema describes API tokens; found by its mere existence."""

    target_class = "accounts.authentication.ApiTokenAuthentication"
    name = "apiToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """HTTP bearer."""
        return {"type": "http", "scheme": "bearer"}


def signed_in(request: Request) -> User:
    """The caller; the permission class has turned away everybody who is nobody."""
    return cast("User", request.user)
