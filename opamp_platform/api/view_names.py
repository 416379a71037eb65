"""What the pages of the API are called in a browser: as the portal calls what they are about."""

from __future__ import annotations

from typing import Any

from django.utils.text import capfirst
from rest_framework.views import get_view_name

from opamp_platform.api.problems import NoSuchUrl

ROOT = "API"


def view_name(view: Any) -> str:
    """Of what a view has rows of, how these are called; the API for what is no view of ours."""
    if isinstance(view, NoSuchUrl):
        return ROOT
    rows = getattr(view, "queryset", None)
    if rows is None:
        return str(get_view_name(view))
    meta = rows.model._meta
    return str(capfirst(meta.verbose_name if getattr(view, "detail", False) else meta.verbose_name_plural))
