"""The page of a refused request: why, in the reader's language, and the way back."""

from __future__ import annotations

from django.contrib import admin
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.base_admin import StrangeUrl


def page(request: HttpRequest, error: Exception) -> HttpResponse:
    """400 for people. Of what was wrong only our own words are shown."""
    text = _("The address or the form that was sent cannot be read.")
    if isinstance(error, StrangeUrl):
        text = str(error)
    elif isinstance(error, RequestDataTooBig):
        text = _("What was sent is too large.")
    # A request may be refused before anybody knows who sent it.
    known = hasattr(request, "user")
    context = {
        "site_header": admin.site.site_header,
        "site_title": admin.site.site_title,
        "title": _("This cannot be shown"),
        "text": text,
        "whole": _whole_page(request),
        "has_permission": known and admin.site.has_permission(request),
    }
    return HttpResponse(render_to_string("400.html", context, request if known else None), status=400)


def _whole_page(request: HttpRequest) -> str:
    """The same page of the admin without what was asked of it; nothing where nothing was."""
    asked = bool(request.META.get("QUERY_STRING")) and request.path.startswith(reverse("admin:index"))
    return request.path if asked else ""
