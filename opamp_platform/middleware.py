"""What is done for every request of pages and API: counted and timed, its host, address and URL checked, idle sessions ended."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.http import Http404, HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware
from django.utils.translation import gettext as _

from accounts import sign_in
from accounts.idle_sessions import ACTIVE_KEY
from accounts.models import User
from foundation.clock import clock
from foundation.refreshing import refreshes_itself
from notifications.pace import PACE
from opamp_platform import refusal
from opamp_platform.api import problems
from opamp_platform.operations.metrics import HTTP_REQUESTS, HTTP_SECONDS
from opamp_transport.admission import forwarded_for, peer_address

# Odd methods must not make new series.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PROBED = re.compile(r"/(?:health(?:/live|/ready)?|metrics)/?|/packages/.*")


class MeasureRequests:
    """Outermost but for security and static files, so that it sees what the client sees."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, and count the answer."""
        begun, worked = time.perf_counter(), time.thread_time()
        response = self.get_response(request)
        if refreshes_itself(request):
            PACE.note(time.thread_time() - worked, time.monotonic())
        method = request.method if request.method in _METHODS else "other"
        HTTP_REQUESTS.labels(method, str(response.status_code)).inc()
        HTTP_SECONDS.labels(method).observe(time.perf_counter() - begun)
        return response


class RefuseNul:
    """A NUL character in a URL, which PostgreSQL cannot hold: nothing has such a name (404), no value has it (400)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer what can be meant."""
        if "\x00" in request.path_info:
            return problems.not_found(request, Http404())
        # As a browser or a program writes it; servers refuse it in any other form.
        if "%00" in request.META.get("QUERY_STRING", ""):
            return problems.nul_in_query(request)
        return self.get_response(request)


class ExplainForms:
    """A page of the portal that only takes forms, opened as if it were another: Django's own 405 is a blank page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The answer, or the page that says why there is none."""
        response = self.get_response(request)
        if response.status_code == 405 and not response.content and request.path_info.startswith("/admin/"):
            return refusal.only_by_form(request, response.headers.get("Allow", "POST"))
        return response


class EndRefreshing:
    """A page that refreshes itself when what it shows is gone: an answer without content, at which it stops.

    A 404 would be an error in the browser's log, although nobody did anything wrong.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The answer, or 204."""
        response = self.get_response(request)
        return HttpResponse(status=204) if response.status_code == 404 and refreshes_itself(request) else response


class CheckHost(CommonMiddleware):
    """Django's own, but for ``/health``, ``/metrics`` and packages: probes call an address, which nobody names in
    ``ALLOWED_HOSTS``, and agents reach us by many names.

    Those know no sessions, and packages only who has a signed address.
    """

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        """400 for a host that is not allowed."""
        if _PROBED.fullmatch(request.path_info):
            return None
        return super().process_request(request)


class ClientAddress:
    """``REMOTE_ADDR`` is whoever called the outermost of `OPAMP_TRUSTED_PROXIES`, as it is for agents."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Before anything asks for the address."""
        forwarded = request.headers.get("X-Forwarded-For", "").encode("latin-1", "replace")
        named = forwarded_for([(b"x-forwarded-for", forwarded)], proxies=settings.OPAMP_TRUSTED_PROXIES)
        request.META["REMOTE_ADDR"] = peer_address(request.META.get("REMOTE_ADDR") or "", named)
        return self.get_response(request)


# How exactly it is kept when a person did something: each note is a write.
_NOTED_EVERY = 60.0
# Elsewhere nobody needs a session; health must answer when the database is away.
_FOR_PEOPLE = ("/admin/", "/api/")


class EndIdleSessions:
    """Signs people out who did nothing for `SESSION_IDLE_SECONDS`.

    Pages that refresh themselves say so (`static/portal/live.js`) and prolong nothing: an open page of a live list would keep
    a session for ever. Calls of the API with a session count as doing something.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Only where a session cookie came, and where it counts: nobody else's request costs a query."""
        limit = float(settings.SESSION_IDLE_SECONDS)
        counts = settings.SESSION_COOKIE_NAME in request.COOKIES and request.path_info.startswith(_FOR_PEOPLE)
        if limit and counts and isinstance(request.user, User):
            now = clock.now().timestamp()
            since = request.session.get(ACTIVE_KEY)
            idle = now - since if isinstance(since, int | float) else 0.0
            if idle >= limit:
                sign_in.record_sign_out(request, request.user, idle=True)
                logout(request)
                messages.info(request, _("You were signed out, since you did nothing for a long time."))
            elif (since is None or abs(idle) >= min(_NOTED_EVERY, limit / 10)) and not refreshes_itself(request):
                request.session[ACTIVE_KEY] = now
        return self.get_response(request)
