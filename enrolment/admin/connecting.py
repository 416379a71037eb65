"""The page that connects an agent: makes a token, shows the settings with it once, and waits until agents come by it."""

from __future__ import annotations

import re
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _

from accounts.models import User
from agents.models import Agent
from enrolment.admin.token_forms import FIELDS, EnrolmentTokenForm
from enrolment.errors import InvalidToken
from enrolment.models import EnrolmentToken
from enrolment.services.tokens import issue_enrolment_token
from enrolment.snippets import endpoint_of, snippets
from foundation.clock import clock
from foundation.languages import in_readers_language

_SHOWN = 20
# Tokens that a person made of late and may wait for, by what the page is called for each.
_WAITING = "enrolment.waiting"
_MOST_WAITING = 10
_PAGE = re.compile(r"[A-Za-z0-9]{16}")


def connecting(request: HttpRequest) -> dict[str, Any]:
    """What an agent's settings say of this server; of the secret only that there is one."""
    public_url = str(getattr(settings, "PUBLIC_URL", "") or "")
    endpoint = endpoint_of(public_url, secure=request.is_secure(), host=request.get_host())
    return {"endpoint": endpoint, "asks_secret": bool(settings.OPAMP_SECRET_KEY)}


def connect_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """How to connect an agent, for those who may see agents; a token for it, for those who may make one.

    The form's address names the page, so that a page which is loaded again makes no second token but waits for the first's.
    """
    if not request.user.has_perm("agents.view_agent"):
        raise PermissionDenied
    may_make = request.user.has_perm("enrolment.add_enrolmenttoken")
    page = _page_of(request)
    token = _token_of(request, page)
    context |= {**connecting(request), "page": page, "may_make": may_make}
    if token is None and request.method == "POST":
        if not may_make:
            raise PermissionDenied
        form = EnrolmentTokenForm(request.POST)
        text = ""
        if form.is_valid():
            try:
                token, text = issue_enrolment_token(form.wish(), by=cast("User", request.user), at=clock.now())
            except InvalidToken as error:
                form.add_error(FIELDS.get(error.field), in_readers_language(error))
        if token is not None:
            _wait_for(request, page, token)
            context["snippets"] = snippets(context["endpoint"], text)
            context["token_text"] = text
        context["form"] = form
    elif may_make:
        context["form"] = EnrolmentTokenForm()
    if token is not None:
        context |= _arrivals(token)
        context["title"] = _("Connect an agent: %(name)s") % {"name": token.name}
    return TemplateResponse(request, "admin/connect.html", context)


def _arrivals(token: EnrolmentToken) -> dict[str, Any]:
    token.refresh_from_db()
    agents = Agent.objects.filter(enrolled_by=token.name).order_by("-first_seen_at", "-pk")
    return {"token": token, "came": agents[:_SHOWN]}


def _page_of(request: HttpRequest) -> str:
    asked = request.GET.get("page", "")
    return asked if _PAGE.fullmatch(asked) else get_random_string(16)


def _token_of(request: HttpRequest, page: str) -> EnrolmentToken | None:
    key = request.session.get(_WAITING, {}).get(page)
    return None if key is None else EnrolmentToken.objects.visible_to(request.user).filter(pk=key).first()


def _wait_for(request: HttpRequest, page: str, token: EnrolmentToken) -> None:
    known = {**request.session.get(_WAITING, {}), page: token.pk}
    request.session[_WAITING] = dict(list(known.items())[-_MOST_WAITING:])
