"""The pages of requests that were refused or failed: why, in the reader's language, and the way back."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from accounts.base_admin import Missing, StrangeUrl

RETRY_AFTER_SECONDS = 5
_TEMPLATE = "refusal.html"


def bad_request(request: HttpRequest, error: Exception) -> HttpResponse:
    """400. Of what was wrong only our own words are shown."""
    text = _("The address or the form that was sent cannot be read.")
    if isinstance(error, StrangeUrl):
        text = str(error)
    elif isinstance(error, RequestDataTooBig):
        text = _("What was sent is too large.")
    return _page(request, 400, _("This cannot be shown"), text, whole=_whole_page(request))


def forbidden(request: HttpRequest, error: Exception) -> HttpResponse:
    """403. What a service said of it is said; it raises in the reader's language."""
    said = str(error) if isinstance(error, PermissionDenied) else ""
    text = said or _("You do not have the right to do this. An administrator can give it to you.")
    return _page(request, 403, _("Not allowed"), text)


def forged(request: HttpRequest) -> HttpResponse:
    """403 for a form without a valid token against forgery."""
    text = _(
        "The form was not accepted, since it is not known to come from this portal: it was open for long, somebody signed in or "
        "out meanwhile, or the browser keeps no cookies. Nothing was changed. Open the page again and send it once more."
    )
    return _page(request, 403, _("The form is out of date"), text)


def not_found(request: HttpRequest, error: Exception) -> HttpResponse:
    """404; of errors that are not ours nothing is shown."""
    text = str(error) if isinstance(error, Missing) else ""
    text = text or _("There is nothing at this address. It may be mistyped, or what was here may have been deleted.")
    return _page(request, 404, _("Not found"), text)


def only_by_form(request: HttpRequest, allowed: str) -> HttpResponse:
    """405: the address of a form that was opened as if it were a page, for instance after signing in anew."""
    text = _("This address only takes what a form sends. Nothing was changed; go back and use the form's button.")
    answer = _page(request, 405, _("This is no page"), text)
    answer.headers["Allow"] = allowed
    return answer


def failed(request: HttpRequest) -> HttpResponse:
    """500; asks nothing of database or session, for they may be why."""
    text = _("The server failed to answer; its log has the reason.")
    return _page(request, 500, _("Something went wrong"), text, again=_again(request), known=False)


def unavailable(request: HttpRequest) -> HttpResponse:
    """503 while the database is away, of which nothing is asked."""
    text = _("The database is out of reach. Connected agents stay connected; try again in a moment.")
    answer = _page(request, 503, _("Not available"), text, again=_again(request), known=False)
    answer.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return answer


def _page(
    request: HttpRequest, status: int, title: str, text: str, *, known: bool = True, **context: Any
) -> HttpResponse:
    """``known``: whose request it is may be asked."""
    # A request may be refused before anybody knows who sent it.
    known = known and hasattr(request, "user")
    known_person = known and admin.site.has_permission(request)
    context |= {
        # With the menu, which is a way on.
        **(admin.site.each_context(request) if known_person else {}),
        "site_header": admin.site.site_header,
        "site_title": admin.site.site_title,
        "title": title,
        "text": text,
        "status": status,
        "back": _page_before(request),
        "has_permission": known_person,
    }
    return HttpResponse(render_to_string(_TEMPLATE, context, request if known else None), status=status)


def bare(status: int) -> HttpResponse:
    """What remains to be said when not even the page of a failure can be made."""
    text = _("The server failed to answer; its log has the reason.")
    return HttpResponse(format_html("<!doctype html><title>{}</title><p>{}</p>", status, text), status=status)


def _whole_page(request: HttpRequest) -> str:
    """The same page of the admin without what was asked of it; nothing where nothing was."""
    asked = bool(request.META.get("QUERY_STRING")) and request.path.startswith(reverse("admin:index"))
    return request.path if asked else ""


def _again(request: HttpRequest) -> str:
    """Where the same can be asked once more; a form is not sent twice by a link."""
    return request.get_full_path() if request.method == "GET" else ""


def _page_before(request: HttpRequest) -> str:
    """The page of ours that led here, nothing when it was another's, or this one."""
    before = request.META.get("HTTP_REFERER", "")
    # `Host` was perhaps what is wrong, and is not asked through Django's check.
    host = request.META.get("HTTP_HOST", "")
    if not host or not url_has_allowed_host_and_scheme(before, {host}):
        return ""
    return "" if before.split("?")[0].endswith(request.path) and request.method == "GET" else before
