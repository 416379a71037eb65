"""``force``, in the body of an edit or in its query: publish what checks block."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from configurations.services.forcing import RIGHT

FORCE = OpenApiParameter(
    "force",
    bool,
    description=f"Publish it although checks block it, as `force` in the body does. Needs the right `{RIGHT}`; audited.",
)
FORCING_ACTIONS = frozenset({"create", "update", "partial_update", "rollback", "preview", "preview_new"})
_WORDS = {"true": True, "1": True, "false": False, "0": False}


def forced(request: Request, values: dict[str, Any]) -> bool:
    """What body and query say together. Raises `ValidationError`."""
    said = request.query_params.get("force")
    if said is None:
        return bool(values.get("force", False))
    if said.lower() not in _WORDS:
        raise ValidationError({"force": [_("force is true or false.")]})
    return _WORDS[said.lower()] or bool(values.get("force", False))
