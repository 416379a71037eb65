"""``?secrets=`` of the REST doors: everybody gets them hidden; those with the right may ask to see them, of one thing at a time."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from django.db import models
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.authentication import signed_in
from agents.services.revealing import reveal

if TYPE_CHECKING:
    _View = APIView
else:
    _View = object

SECRETS = OpenApiParameter(
    "secrets",
    enum=["hidden", "shown"],
    default="hidden",
    description="`shown` needs the right `agents.reveal_secrets`, and is audited.",
)


class SecretsOnDemand(_View):
    """A view that hides secrets. ``reveals`` names the actions that show them when asked to."""

    reveals: Collection[str] = ()
    secrets_shown = False

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Read ``?secrets=``. Raises `ValidationError` for another word, and where nothing can be shown."""
        super().initial(request, *args, **kwargs)
        match request.query_params.get("secrets", "hidden"):
            case "hidden":
                return
            case "shown" if getattr(self, "action", None) in self.reveals and request.method in ("GET", "HEAD"):
                self.secrets_shown = True
            case "shown":
                raise ValidationError(
                    {"secrets": [_("Secrets are shown of one agent or revision at a time, and of no list.")]}
                )
            case _:
                raise ValidationError({"secrets": [_("Say hidden or shown.")]})

    def reveal_if_asked(self, target: models.Model, what: str) -> bool:
        """Whether to show secrets of ``target``, which is audited then. Raises `PermissionDenied` without the right."""
        if self.secrets_shown:
            reveal(target, by=signed_in(self.request), what=what)
        return self.secrets_shown

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """No cache on the way keeps secrets."""
        response = super().finalize_response(request, response, *args, **kwargs)
        if self.secrets_shown:
            response.headers["Cache-Control"] = "no-store"
        return response
