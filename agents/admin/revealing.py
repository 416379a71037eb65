"""Pages and files with secrets in clear: every one of them goes through `allow`."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote

from django.db import models
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.cache import patch_cache_control

from accounts.models import User
from agents.reports import JsonObject
from agents.services.revealing import reveal
from agents.shown import MOST_SHOWN, files_cut


def allow(request: HttpRequest, target: models.Model, what: str) -> None:
    """What must hold before secrets are shown on a page. Raises `PermissionDenied`."""
    reveal(target, by=cast("User", request.user), what=what)


def secrets_page(
    request: HttpRequest, target: models.Model, files: Mapping[str, JsonObject], context: dict[str, Any], *, what: str
) -> HttpResponse:
    """``files`` as they are stored, as much of them as a page holds.

    ``context`` has the page's frame: ``title``, ``list``, ``back``, ``back_title``, and ``download``, the URL of
    `secrets_file`.
    """
    allow(request, target, what)
    shown = sorted(files_cut(files, MOST_SHOWN).items())
    whole = {**context, "target": target, "files": shown, "may_reveal": True}
    response = TemplateResponse(request, "admin/secrets.html", whole)
    patch_cache_control(response, no_store=True)
    return response


def secrets_file(
    request: HttpRequest, target: models.Model, files: Mapping[str, JsonObject], key: str, *, what: str
) -> HttpResponse:
    """One of ``files`` as it is stored, as a download. Raises `Http404` when there is none of that name."""
    if key not in files:
        raise Http404
    allow(request, target, what)
    file = files[key]
    body = (
        base64.b64decode(str(file["body_base64"]))
        if "body_base64" in file
        else str(file.get("body", "")).encode(errors="replace")
    )
    response = HttpResponse(body, content_type="application/octet-stream")
    name = quote(f"{target}-{key or 'main'}", safe="")
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{name}"
    response.headers["X-Content-Type-Options"] = "nosniff"
    patch_cache_control(response, no_store=True)
    return response
