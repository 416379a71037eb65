"""What happens to every request of pages and API: it is counted and timed, and must be text that a database can hold."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse

from opamp_platform import rest
from opamp_platform.metrics import HTTP_REQUESTS, HTTP_SECONDS

# Odd methods must not make new series.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class MeasureRequests:
    """Outermost but for security and static files, so that it sees what the client sees."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, and count the answer."""
        begun = time.perf_counter()
        response = self.get_response(request)
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
            return rest.not_found(request, Http404())
        # As a browser or a program writes it; servers refuse it in any other form.
        if "%00" in request.META.get("QUERY_STRING", ""):
            return rest.bad_request(request, BadRequest())
        return self.get_response(request)
