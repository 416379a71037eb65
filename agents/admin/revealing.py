"""Pages and files with secrets in clear: every one of them goes through `allow`."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote

from django.contrib.admin import ModelAdmin
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from accounts.models import User
from accounts.reauthentication import password_question
from agents.reports import JsonObject
from agents.services.revealing import require_right, reveal
from agents.shown import MOST_SHOWN, files_cut
from foundation.secrecy import showing_secret


def allow(
    admin: ModelAdmin[Any], request: HttpRequest, target: models.Model, what: str, *, back: str
) -> HttpResponse | None:
    """What must hold before secrets are shown on a page: ``None`` when it does, else the page that asks for the password.

    ``back`` is where whoever would rather not goes. Raises `PermissionDenied`.
    """
    by = cast("User", request.user)
    require_right(by)
    question = password_question(admin, request, back=back)
    if question is None:
        reveal(target, by=by, what=what)
    return question


def secrets_page(
    admin: ModelAdmin[Any],
    request: HttpRequest,
    target: models.Model,
    files: Mapping[str, JsonObject],
    context: dict[str, Any],
    *,
    what: str,
) -> HttpResponse:
    """``files`` as they are stored, as much of them as a page holds.

    ``context`` has the page's frame: ``title``, ``list``, ``back``, ``back_title``, and ``download``, the URL of
    `secrets_file`.
    """
    question = allow(admin, request, target, what, back=context["back"])
    if question is not None:
        return question
    shown = sorted(files_cut(files, MOST_SHOWN).items())
    whole = {**context, "target": target, "files": shown, "may_reveal": True}
    return showing_secret(TemplateResponse(request, "admin/secrets.html", whole))


def secrets_file(
    admin: ModelAdmin[Any],
    request: HttpRequest,
    target: models.Model,
    files: Mapping[str, JsonObject],
    key: str,
    *,
    what: str,
    back: str,
) -> HttpResponse:
    """One of ``files`` as it is stored, as a download. Raises `Http404` when there is none of that name."""
    require_right(request.user)
    if key not in files:
        raise Http404
    question = allow(admin, request, target, what, back=back)
    if question is not None:
        return question
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
    return showing_secret(response)
