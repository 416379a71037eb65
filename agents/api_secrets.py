"""``?secrets=`` of the REST endpoints: hidden for everybody; those with the right may ask to see them, of one thing at a time."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import models
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from accounts.authentication import signed_in
from accounts.reauthentication import may_show_secrets
from agents.services.revealing import require_right, reveal
from foundation.api_query import DeclaredQuery
from foundation.secrecy import showing_secret

SECRETS = OpenApiParameter(
    "secrets",
    enum=["hidden", "shown"],
    default="hidden",
    description="`shown` needs the right `agents.reveal_secrets`, and is audited. A session in which the password was not "
    "typed within 5 minutes gets a 403.",
)


class SecretsOnDemand(DeclaredQuery):
    """A view that hides secrets. ``reveals`` names the actions that show them when asked to."""

    reveals: Collection[str] = ()
    secrets_shown = False

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Read ``?secrets=``. Raises `ValidationError` for another word, and where nothing can be shown."""
        super().initial(request, *args, **kwargs)
        word = request.query_params.get("secrets")
        if word is None:
            return
        if not self._reveals():
            raise ValidationError(
                {"secrets": [_("Secrets are shown of one agent or revision at a time, and of no list.")]}
            )
        if word not in ("hidden", "shown"):
            raise ValidationError({"secrets": [_("Say hidden or shown.")]})
        self.secrets_shown = word == "shown"

    def known_query(self) -> set[str]:
        """``secrets`` too where it means something; elsewhere `initial` says why it does not."""
        known = super().known_query()
        return known | {"secrets"} if "secrets" in self.request.query_params or self._reveals() else known

    def _reveals(self) -> bool:
        return getattr(self, "action", None) in self.reveals and self.request.method in ("GET", "HEAD")

    def reveal_if_asked(self, target: models.Model, what: str) -> bool:
        """Whether to show secrets of ``target``, which is audited then.

        Raises `PermissionDenied` without the right, and in a session whose password was not typed lately.
        """
        if self.secrets_shown:
            by = signed_in(self.request)
            require_right(by)
            may_show_secrets(self.request)
            reveal(target, by=by, what=what)
        return self.secrets_shown

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """No cache on the way keeps secrets, and nothing compresses them."""
        response = super().finalize_response(request, response, *args, **kwargs)
        return showing_secret(response) if self.secrets_shown else response
