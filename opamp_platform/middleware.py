"""Counts and times the requests of pages and API; lets probes in whatever host they name."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware

from opamp_platform.metrics import HTTP_REQUESTS, HTTP_SECONDS

# Odd methods must not make new series.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PROBED = re.compile(r"/(?:health(?:/live|/ready)?|metrics)/?")


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


class CheckHost(CommonMiddleware):
    """Django's own, but for ``/health`` and ``/metrics``: probes call an address, which nobody names in ``ALLOWED_HOSTS``.

    Those answer everybody the same and know no sessions.
    """

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        """400 for a host that is not allowed."""
        if _PROBED.fullmatch(request.path_info):
            return None
        return super().process_request(request)
